"""Pages of signing in and of one's own account, on both back offices."""

from __future__ import annotations

from apps.accounts.pages import me, qr, sign_in, step_up
from apps.backoffice.sites import guard_by, platform_site, tenant_site


def add_pages() -> None:
    """Serve them, and ask for a second factor where settings.SECOND_FACTOR_PAGES wants one."""
    for site in (tenant_site, platform_site):
        for route, view, name in (*sign_in.PAGES, *qr.PAGES):
            site.add_page(f"sign-in/{route}", view, name, is_open=True)
        for route, view, name in (*me.PAGES, *qr.MY_PAGES, *step_up.PAGES):
            site.add_page(f"me/{route}", view, name)
    guard_by(step_up.guard)
