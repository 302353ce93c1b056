"""URLs of a tenant's site: the back office, the driver API, files, and notices of payment providers."""

from django.urls import include, path
from django.views.generic import RedirectView

from apps.backoffice.sites import tenant_site

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", tenant_site.urls),
    path("api/v1/", include("apps.miniapp.urls")),
    path("files/", include("apps.files.urls")),
    path("", include("apps.wallet.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
]

handler500 = "apps.common.http.server_error"
