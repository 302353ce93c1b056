from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError


class UnknownHost(DomainError):
    code = "tenancy.unknown_host"
    message = _("There is no site under this address.")
    status = 404


class UnknownTenant(DomainError):
    code = "tenancy.unknown_tenant"
    message = _("No operator is known by the code in X-Tenant.")
    status = 404


class TenantNotNamed(DomainError):
    code = "tenancy.not_named"
    message = _("Name the operator in X-Tenant, or call its own address.")
    status = 404


class TenantSuspended(DomainError):
    code = "tenancy.suspended"
    message = _("This operator's service is suspended. Please contact the operator.")
    status = 403


class TenantInvalid(DomainError):
    code = "tenancy.invalid"
    message = _("%(field)s is not right: %(value)s")
    status = 400


class CodeTaken(DomainError):
    code = "tenancy.code_taken"
    message = _("Code %(tenant_code)s belongs to another tenant.")
    status = 409


class HostTaken(DomainError):
    code = "tenancy.host_taken"
    message = _("Host %(host)s belongs to another tenant.")
    status = 409


class SchemaExists(DomainError):
    code = "tenancy.schema_exists"
    message = _("Schema %(schema)s exists without a tenant: look at it, then drop or rename it.")
    status = 409


class TemplateBehind(DomainError):
    code = "tenancy.template_behind"
    message = _("The template schema is not up to date: run migrate_tenants first.")
    status = 409


class RouteTaken(DomainError):
    code = "tenancy.route_taken"
    message = _("%(key)s is registered by another operator.")
    status = 409


class NewcomerGone(DomainError):
    code = "tenancy.newcomer_gone"
    message = _("Device %(key)s is no longer waiting.")
    status = 409
