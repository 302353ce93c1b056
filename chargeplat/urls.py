"""URLs of a tenant's site: back office, driver API and pages, files, notices of payment providers."""

from django.urls import include, path, re_path
from django.views.generic import RedirectView

from apps.accounts import support
from apps.backoffice.sites import tenant_site
from apps.miniapp import h5
from apps.miniapp.landing import gun_page
from apps.tenancy import branding

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", tenant_site.urls),
    path("api/v1/", include("apps.miniapp.urls")),
    re_path(r"^h5(?:/(?P<path>.*))?$", h5.page, name="h5"),
    path("c/<str:code>", gun_page, name="gun_page"),
    path("files/", include("apps.files.urls")),
    path("", include("apps.wallet.urls")),
    path("support/enter/<str:ticket>/", support.enter_view, name="support_enter"),
    path("support/leave/", support.leave_view, name="support_leave"),
    path("logo/<slug:code>/<slug:digest>.png", branding.logo_view, name="tenant_logo"),
    path("i18n/", include("django.conf.urls.i18n")),
]

handler500 = "apps.common.http.server_error"
