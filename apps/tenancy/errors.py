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


class TenantClosed(DomainError):
    code = "tenancy.closed"
    message = _("This operator has closed its service.")
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


class FeatureMissing(DomainError):
    code = "tenancy.feature_missing"
    message = _("Your package does not have this: %(feature)s. Ask the platform for a larger one.")
    status = 403


_KINDS = {"stations": _("stations"), "piles": _("piles"), "staff": _("active staff accounts")}


class LimitReached(DomainError):
    """`kind` is one of features.LIMITS."""

    code = "tenancy.limit_reached"
    message = _(
        "Your package allows %(limit)s %(what)s, and you have %(used)s. Ask the platform for a larger one."
    )
    status = 409

    def __init__(self, *, kind: str, limit: int, used: int) -> None:
        super().__init__(kind=kind, limit=limit, used=used, what=str(_KINDS[kind]))


class WrongState(DomainError):
    code = "tenancy.wrong_state"
    message = _("That cannot be done with a tenant that is %(state)s.")
    status = 409


class ExpiryInvalid(DomainError):
    code = "tenancy.expiry_invalid"
    message = _("Choose a day after %(day)s.")


class TermOver(DomainError):
    code = "tenancy.term_over"
    message = _("The term of this tenant is over: renew it, then it is active again.")
    status = 409


class StillBusy(DomainError):
    """`what` names everything that stands in the way."""

    code = "tenancy.still_busy"
    message = _("The tenant cannot be closed yet: %(what)s.")
    status = 409


class LastDomain(DomainError):
    code = "tenancy.last_domain"
    message = _("The last domain of a tenant stays, or nobody reaches it.")
    status = 409


class PrimaryDomain(DomainError):
    code = "tenancy.primary_domain"
    message = _("Make another domain the main one first.")
    status = 409


class LogoRefused(DomainError):
    code = "tenancy.logo_refused"
    message = _("A picture (PNG, JPEG or WebP) of at most 1 MB and 4,000 × 4,000 pixels is needed.")


class OpeningUnderWay(DomainError):
    code = "tenancy.opening_under_way"
    message = _("A tenant with code %(tenant_code)s is being opened already.")
    status = 409


class TicketInvalid(DomainError):
    code = "tenancy.ticket_invalid"
    message = _("This way in was used already or is too old. Ask for a new one on the platform's site.")
    status = 403


class RoleMissing(DomainError):
    code = "tenancy.role_missing"
    message = _("The tenant has no role %(role)s any more. Choose another one.")
    status = 409


class ConnectionGone(DomainError):
    code = "tenancy.connection_gone"
    message = _("There is no such connection any more.")
    status = 404
