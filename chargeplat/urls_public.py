"""URLs of the platform's own site: its back office, and where payment providers send their notices.

Tenants are reached by host, or by X-Tenant under /api/.
"""

from django.urls import include, path
from django.views.generic import RedirectView

from apps.backoffice.sites import platform_site
from apps.tenancy import branding

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", platform_site.urls),
    path("", include("apps.wallet.urls")),
    path("logo/<slug:code>/<slug:digest>.png", branding.logo_view, name="tenant_logo"),
    path("i18n/", include("django.conf.urls.i18n")),
]

handler500 = "apps.common.http.server_error"
