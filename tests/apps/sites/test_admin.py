"""The station pages: state is a button, and parts of other apps need those apps' permissions."""

from __future__ import annotations

from typing import Any

from apps.backoffice.models import AuditEntry
from tests import factories
from tests.staff import a_user, signed_in


def test_a_station_is_closed_by_its_button(tenant: Any) -> None:
    station = factories.a_station()
    page = f"/admin/sites/station/{station.pk}/state/"
    form = {"_form_submitted": "True", "state": "maintenance"}
    assert signed_in(a_user("sites.view_station")).post(page, form).status_code == 403
    station.refresh_from_db()
    assert station.state == "open"

    signed_in(a_user("sites.view_station", "sites.change_station")).post(page, form)
    station.refresh_from_db()
    assert station.state == "maintenance"
    assert AuditEntry.objects.get(action="sites.station_state_changed").changes == {
        "state": ["open", "maintenance"]
    }


def test_panels_of_other_apps_need_their_permissions(tenant: Any) -> None:
    gun = factories.a_connector()
    page = f"/admin/sites/station/{gun.pile.station_id}/change/"
    plain = signed_in(a_user("sites.view_station")).get(page).content.decode()
    assert "充电枪状态" not in plain
    assert "今日电价" not in plain
    full = signed_in(a_user("sites.view_station", "piles.view_connector", "pricing.view_pricetemplate")).get(
        page
    )
    assert "充电枪状态" in full.content.decode()
    assert "今日电价" in full.content.decode()
