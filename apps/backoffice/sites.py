"""The two back offices: a tenant's and the platform's. Every model is registered on exactly one of them."""

from unfold.sites import UnfoldAdminSite


class TenantSite(UnfoldAdminSite):
    """A tenant's back office."""

    settings_name = "UNFOLD"


class PlatformSite(UnfoldAdminSite):
    """The platform owner's back office, in the public schema."""

    settings_name = "UNFOLD_PLATFORM"


# Both carry the name "admin", because the theme's templates reverse "admin:…".
tenant_site = TenantSite(name="admin")
platform_site = PlatformSite(name="admin")
