"""Which piles there are and where: registering them, one or many, moving them between stations, retiring them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from apps.common.errors import InvalidInput
from apps.common.ids import Actor
from apps.piles.enums import ConnectorState, PileState
from apps.piles.errors import PileCodesTaken, PileInUse
from apps.piles.models import Connector, ConnectorStatus, Pile
from apps.sites.models import Station
from apps.tenancy import features
from apps.tenancy.services import claim_routes

ROUTE_KIND = "pile"
MOST_GUNS = 99

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewPile:
    """A pile to be registered, with its number of guns. Power in kW."""

    station: Station
    pile_code: str
    kind: str
    power_kw: Decimal
    gun_count: int
    name: str = ""
    brand: str = ""
    model: str = ""
    serial_no: str = ""
    produced_on: date | None = None
    pinned_sim_no: str = ""
    protocol: str = "ykc"


def register(rows: Sequence[NewPile], *, actor: Actor) -> list[Pile]:
    """Register piles with their connectors "01" … and claim their codes for this tenant: all of them or none.

    Raises PileCodesTaken for codes that are registered here, RouteTaken for one of another tenant's, LimitReached,
    InvalidInput for a code that is not 14 digits, is there twice, or a gun count outside 1 to 99.
    """
    for row in rows:
        check_code(row.pile_code, row.gun_count)
    codes = [row.pile_code for row in rows]
    if len(set(codes)) < len(codes):
        raise InvalidInput(fields="pile_code: a code is there twice")
    with transaction.atomic():
        check_room(len(rows))
        claim_routes(kind=ROUTE_KIND, keys=codes)
        refuse_known(codes)
        try:
            with transaction.atomic():
                piles = Pile.objects.bulk_create(_pile(row) for row in rows)
        except IntegrityError as error:  # somebody registered one of them a moment ago
            raise PileCodesTaken(codes=_some(codes)) from error
        add_connectors(piles, {row.pile_code: row.gun_count for row in rows})
    log.info("piles_registered", count=len(piles), first=codes[0] if codes else "", actor=str(actor))
    return piles


def check_room(adding: int = 1) -> None:
    """Raise LimitReached when so many more piles in use would be more than the tenant's package allows."""
    features.check_room("piles", used=Pile.objects.exclude(state=PileState.RETIRED).count, adding=adding)


def refuse_known(codes: Iterable[str]) -> None:
    """Raise PileCodesTaken if this tenant has registered one of `codes`."""
    known = Pile.objects.filter(pile_code__in=list(codes)).order_by("pile_code")
    if found := list(known.values_list("pile_code", flat=True)):
        raise PileCodesTaken(codes=_some(found))


def check_code(pile_code: str, gun_count: int) -> None:
    """Raise InvalidInput for a code that is not 14 digits, or a gun count outside 1 to 99."""
    if len(pile_code) != 14 or not pile_code.isascii() or not pile_code.isdigit():
        raise InvalidInput(fields=f"pile_code: 14 digits are needed, not {pile_code!r}")
    if not 1 <= gun_count <= MOST_GUNS:
        raise InvalidInput(fields=f"gun_count: 1 to {MOST_GUNS}, not {gun_count}")


def consecutive(first_code: str, count: int) -> list[str]:
    """Return `count` codes from `first_code` on. Raises InvalidInput when they go beyond 14 digits."""
    codes = [f"{int(first_code) + index:014d}" for index in range(count)]
    if codes and len(codes[-1]) > 14:
        raise InvalidInput(fields=f"first: {count} codes from {first_code} go beyond 14 digits")
    return codes


def add_connectors(piles: Sequence[Pile], gun_counts: dict[str, int]) -> None:
    """Give new piles their connectors, and these their status; `gun_counts` by pile code."""
    connectors = Connector.objects.bulk_create(
        Connector(
            pile=pile,
            connector_no=f"{number:02d}",
            code=f"{pile.pile_code}{number:02d}",
            power_kw=pile.power_kw,
        )
        for pile in piles
        for number in range(1, gun_counts[pile.pile_code] + 1)
    )
    ConnectorStatus.objects.bulk_create(ConnectorStatus(connector=connector) for connector in connectors)


def move_piles(*, pile_ids: Iterable[int], station: Station, actor: Actor) -> dict[int, tuple[str, int]]:
    """Put piles at another station: {pile id: (code, station id before)} of those that were elsewhere.

    Their orders and records stay with the station where they were made. The prices of the new station apply and are
    pushed (settings.PILES_MOVED). Raises PileInUse while one of them charges: then none is moved.
    """
    with transaction.atomic():
        piles = [pile for pile in _locked(pile_ids) if pile.station_id != station.pk]
        moved = {pile.pk: (pile.pile_code, pile.station_id) for pile in piles}
        for pile in piles:
            pile.station = station
            pile.save(update_fields=["station", "updated_at"])
        if moved:
            import_string(settings.PILES_MOVED)(pile_ids=list(moved), station_id=station.pk)
    log.info("piles_moved", count=len(moved), station=station.station_no, actor=str(actor))
    return moved


def retire_piles(*, pile_ids: Iterable[int], actor: Actor) -> dict[int, tuple[str, str]]:
    """Retire piles: {pile id: (code, state before)} of those that were not.

    A retired pile is in no list of drivers and gets no commands; its records are still taken, and its code stays this
    tenant's. Raises PileInUse while one of them charges: then none is retired.
    """
    with transaction.atomic():
        piles = [pile for pile in _locked(pile_ids) if pile.state != PileState.RETIRED]
        retired = {pile.pk: (pile.pile_code, pile.state) for pile in piles}
        for pile in piles:
            pile.state = PileState.RETIRED
            pile.save(update_fields=["state", "updated_at"])
    log.info("piles_retired", count=len(retired), actor=str(actor))
    return retired


def _locked(pile_ids: Iterable[int]) -> list[Pile]:
    """Lock piles, their connectors first as every start does, and make sure that none charges. Raises PileInUse."""
    ids = sorted(set(pile_ids))
    guns = Connector.objects.filter(pile_id__in=ids).order_by("pk")
    gun_ids = [gun.pk for gun in guns.select_for_update(of=["self"])]
    piles = list(Pile.objects.select_for_update(of=["self"], no_key=True).filter(pk__in=ids).order_by("pk"))
    charging = ConnectorStatus.objects.filter(connector__in=gun_ids, state=ConnectorState.CHARGING)
    if found := list(charging.order_by("connector__code").values_list("connector__code", flat=True)):
        raise PileInUse(piles=_some(found))
    for guard in settings.PILE_GUARDS:
        import_string(guard)(connector_ids=gun_ids)
    return piles


def _pile(row: NewPile) -> Pile:
    return Pile(
        station=row.station,
        pile_code=row.pile_code,
        name=row.name,
        kind=row.kind,
        power_kw=row.power_kw,
        brand=row.brand,
        model=row.model,
        serial_no=row.serial_no,
        produced_on=row.produced_on,
        pinned_sim_no=row.pinned_sim_no,
        protocol=row.protocol,
    )


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:5]) + (" …" if len(codes) > 5 else "")
