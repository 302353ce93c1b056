"""First-seen devices in the back offices: the platform offers them, the tenant approves them, all in the audit log."""

from __future__ import annotations

import pytest
from django_tenants.utils import schema_context

from apps.backoffice.models import AuditEntry
from apps.common.time import now
from apps.piles.models import NewDevice, Pile
from apps.tenancy.models import Newcomer
from apps.tenancy.selectors import routes
from tests import factories
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

CODE = "99010203040506"
SIM = "898600C0000000000001"
FACTS = {"protocol_version": "1.6", "software_version": "V4.1.50", "sim_no": SIM}


@pytest.fixture
def device(tenant):
    return Newcomer.objects.create(
        kind="pile", key=CODE, first_seen_at=now(), last_seen_at=now(), address="192.0.2.7", facts=FACTS
    )


def approve(client, device, station, **changes):
    words = {"station": station.pk, "kind": "dc", "power_kw": "60", "gun_count": "2", "pins_sim": "on"}
    path = f"/admin/piles/newdevice/{device.pk}/approve/"
    return client.post(path, words | {"_form_submitted": "on"} | changes)


def test_the_platform_offers_and_the_tenant_approves(device, tenant):
    station = factories.a_station()
    staff = boss()
    assert NewDevice.objects.count() == 0
    assert approve(staff, device, station).status_code == 404  # not offered: not there
    with schema_context("public"):
        platform = boss(PLATFORM_HOST)
        path = f"/admin/tenancy/newcomer/{device.pk}/offer/"
        assert platform.get(path).status_code == 200
        answer = platform.post(path, {"tenant": tenant.pk, "_form_submitted": "on"})
        assert answer.headers["HX-Redirect"] == f"/admin/tenancy/newcomer/{device.pk}/change/"
        entry = AuditEntry.objects.order_by("-id").first()
        assert (entry.action, entry.changes) == ("tenancy.newcomer_assigned", {"tenant": [None, "alpha"]})
    assert CODE in staff.get("/admin/piles/newdevice/").content.decode()
    assert "192.0.2.7" in staff.get(f"/admin/piles/newdevice/{device.pk}/change/").content.decode()
    answer = approve(staff, device, station)
    pile = Pile.objects.get(pile_code=CODE)
    assert answer.headers["HX-Redirect"] == f"/admin/piles/pile/{pile.pk}/change/"
    assert (pile.station, pile.kind, str(pile.power_kw), pile.pinned_sim_no) == (station, "dc", "60.00", SIM)
    assert pile.connectors.count() == 2
    assert routes("pile", [CODE]) == {CODE: "t_alpha"}
    assert not Newcomer.objects.exists()
    entry = AuditEntry.objects.order_by("-id").first()
    assert (entry.action, entry.object_name) == ("piles.newdevice_approved", CODE)
    assert entry.changes["gun_count"] == [None, "2"]


def test_asking_for_the_dialog_approves_nothing_and_rights_are_needed(device, tenant):
    Newcomer.objects.update(tenant=tenant)
    station = factories.a_station()
    looker = signed_in(a_user("piles.view_newdevice"))
    assert looker.get("/admin/piles/newdevice/").status_code == 200
    assert approve(looker, device, station).status_code == 403
    assert boss().get(f"/admin/piles/newdevice/{device.pk}/approve/").status_code == 200
    assert approve(boss(), device, station, gun_count="0").status_code == 200  # the form again
    assert not Pile.objects.filter(pile_code=CODE).exists()


def test_a_code_that_somebody_registered_meanwhile(device, tenant):
    Newcomer.objects.update(tenant=tenant)
    station = factories.a_station()
    factories.a_pile(station=station, pile_code=CODE, online=False)
    answer = approve(boss(), device, station)
    assert answer.headers["HX-Redirect"] == "/admin/piles/newdevice/"
    assert Pile.objects.filter(pile_code=CODE).count() == 1


def test_the_platform_forgets_a_device(device):
    with schema_context("public"):
        path = f"/admin/tenancy/newcomer/{device.pk}/drop/"
        answer = boss(PLATFORM_HOST).post(path, {"_form_submitted": "on"})
        assert answer.headers["HX-Redirect"] == "/admin/tenancy/newcomer/"
        assert AuditEntry.objects.order_by("-id").first().action == "tenancy.newcomer_deleted"
    assert not Newcomer.objects.exists()


@pytest.mark.parametrize(
    ("networks", "sim", "good"),
    [("10.0.0.0/8, 192.0.2.7", SIM, True), ("10.0.0.0/40", "", False), ("", "1", False)],
)
def test_identity_on_the_page_of_a_pile(tenant, networks, sim, good):
    pile = factories.a_pile(online=False)
    words = {
        "name": "", "station": pile.station_id, "kind": "dc", "power_kw": "120", "brand": "", "model": "",
        "allowed_networks": networks, "pinned_sim_no": sim.lower(), "crc_order": "high", "five_prices": "on",
        "cipher": "",
    }  # fmt: skip
    words |= {"connectors-TOTAL_FORMS": "0", "connectors-INITIAL_FORMS": "0"}
    answer = boss().post(f"/admin/piles/pile/{pile.pk}/change/", words)
    assert answer.status_code == (302 if good else 200)
    pile.refresh_from_db()
    kept = (pile.allowed_networks, pile.pinned_sim_no, pile.crc_order, pile.five_prices)
    assert kept == ((networks, SIM, "high", True) if good else ("", "", "low", False))


def test_a_cipher_key_is_written_and_never_shown(tenant):
    pile = factories.a_pile(online=False)
    page = f"/admin/piles/pile/{pile.pk}/change/"
    words = {
        "name": "", "station": pile.station_id, "kind": "dc", "power_kw": "120", "brand": "", "model": "",
        "allowed_networks": "", "pinned_sim_no": "", "crc_order": "low", "cipher": "vendor",
        "connectors-TOTAL_FORMS": "0", "connectors-INITIAL_FORMS": "0",
    }  # fmt: skip
    client = boss()

    def kept(**changes):
        assert client.post(page, {**words, **changes}).status_code == 302
        pile.refresh_from_db()
        return pile.cipher_key

    assert kept(cipher_key="c0ffee77") == "c0ffee77"
    assert AuditEntry.objects.order_by("-id").first().changes["cipher_key"] == ["…", "…"]
    assert kept(cipher_key="", brand="X") == "c0ffee77"  # an empty field keeps it
    assert AuditEntry.objects.order_by("-id").first().changes == {"brand": ["", "X"]}
    looking = signed_in(a_user("piles.view_pile"))
    for reader in (client, looking):
        shown = reader.get(page).content.decode()
        assert ("vendor" in shown, "c0ffee77" in shown) == (True, False)
    assert kept(cipher="", cipher_key="") == ""


def test_wrong_clocks_are_marked_and_found_in_the_list(tenant):
    station = factories.a_station()
    for code, offset in (("99010203040501", "5"), ("99010203040502", "-6"), ("99010203040503", "200")):
        pile = factories.a_pile(station=station, pile_code=code)
        Pile.objects.filter(pk=pile.pk).update(clock_offset_s=offset)
    page = boss().get("/admin/piles/pile/").content.decode()
    assert ("-6 s" in page, "+200 s" in page, "+5 s" in page) == (True, True, False)
    found = {limit: boss().get(f"/admin/piles/pile/?clock={limit}").content.decode() for limit in (5, 180)}
    assert [code for code in ("99010203040501", "99010203040502", "99010203040503") if code in found[5]] == [
        "99010203040502",
        "99010203040503",
    ]
    assert "99010203040502" not in found[180]
