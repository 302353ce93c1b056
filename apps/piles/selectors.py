"""Reads that span piles, connectors and their status."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.common.errors import NotFound
from apps.common.prepared import Prepared
from apps.common.schema import current_schema
from apps.piles.enums import CommandKind, CommandState, ConnectorState, PileState
from apps.piles.errors import PileNotFound
from apps.piles.models import CommandBatch, Connector, Pile, PileCommand, UpdateServer
from apps.tenancy.models import Tenant

IDLE = Q(status__state__in=[ConnectorState.IDLE, ConnectorState.PLUGGED], pile__state=PileState.IN_SERVICE)
"""Guns that a car may come to now."""


def connector_by_code(*, code: str) -> Connector:
    """Return the connector of a full code, with pile, station and status. Raises PileNotFound."""
    found = Connector.objects.select_related("pile__station", "status").filter(code=code).first()
    if found is None or found.pile.state == PileState.RETIRED:
        raise PileNotFound(code=code)
    return found


def lock_connector(*, code: str) -> Connector:
    """Lock and return the connector of a full code, with pile, station and status; inside `atomic()`. PileNotFound.

    They are read after the lock is there: who waited for it behind a move of the pile would see the station of before.
    """
    if not Connector.objects.select_for_update().filter(code=code).values_list("pk", flat=True).first():
        raise PileNotFound(code=code)
    return connector_by_code(code=code)


def piles_to_play(*, count: int | None) -> QuerySet[Pile]:
    """Return the YKC piles that a simulated fleet of `count` plays: the first ones by code, all for None."""
    guns = Connector.objects.filter(pile=OuterRef("pk"))
    piles = Pile.objects.filter(Exists(guns), protocol="ykc").exclude(state=PileState.RETIRED)
    return piles.order_by("pile_code")[:count]


def connectors_of(*, station_id: int) -> QuerySet[Connector]:
    """Return a station's connectors that drivers may see, with pile and status, in the order of their codes."""
    return (
        Connector.objects.select_related("pile", "status")
        .filter(pile__station_id=station_id)
        .exclude(pile__state=PileState.RETIRED)
        .order_by("code")
    )


def parallel_codes(*, piles: Iterable[Pile]) -> dict[int, list[str]]:
    """Return {pile id: codes of all guns, in order} of those piles that charge one car over several guns."""
    able = [pile.pk for pile in piles if pile.takes_parallel]
    found: dict[int, list[str]] = {}
    if able:
        rows = Connector.objects.filter(pile_id__in=able).order_by("code").values_list("pile_id", "code")
        for pile_id, code in rows:
            found.setdefault(pile_id, []).append(code)
    return found


def with_guns(*, kind: str = "", idle: bool = False) -> Exists:
    """Return the condition that a station has guns (in service, of a kind, idle ones) that drivers may see."""
    guns = Connector.objects.filter(pile__station_id=OuterRef("pk")).exclude(pile__state=PileState.RETIRED)
    if kind:
        guns = guns.filter(pile__kind=kind)
    return Exists(guns.filter(IDLE) if idle else guns)


_GUN_COUNTS = Prepared(
    "gun_counts",
    ["bigint[]"],
    f"""
    SELECT pile.station_id, pile.kind, count(*),
           count(*) FILTER (WHERE pile.state = '{PileState.IN_SERVICE.value}'
                              AND status.state IN ('{ConnectorState.IDLE.value}', '{ConnectorState.PLUGGED.value}'))
      FROM piles_pile pile
      JOIN piles_connector gun ON gun.pile_id = pile.id
      LEFT JOIN piles_connectorstatus status ON status.connector_id = gun.id
     WHERE pile.station_id = ANY ($1) AND pile.state <> '{PileState.RETIRED.value}'
     GROUP BY pile.station_id, pile.kind
    """,  # noqa: S608 - words of our own
)


def gun_counts(*, station_ids: list[int]) -> dict[int, dict[str, int]]:
    """Return {station id: {"dc": n, "ac": n, "dc_idle": n, "ac_idle": n}} in one query.

    Idle is what IDLE says. In plain SQL, since every search for stations counts: the ORM takes longer to build it
    than PostgreSQL to answer.
    """
    counts = {station: {"dc": 0, "ac": 0, "dc_idle": 0, "ac_idle": 0} for station in station_ids}
    for station_id, kind, total, idle in _GUN_COUNTS.rows(station_ids):
        counts[station_id][kind] = total
        counts[station_id][f"{kind}_idle"] = idle
    return counts


def update_credentials(*, server_id: int) -> tuple[str, str]:
    """Return user name and password of an update server, for the frame that needs them. Raises NotFound."""
    server = UpdateServer.objects.filter(pk=server_id).first()
    if server is None:
        raise NotFound
    return server.username, server.password


def qr_prefixes(*, piles: Iterable[Pile]) -> dict[int, str]:
    """Return {pile id: what its QR codes begin with}: the station's word, else the tenant's; "" where neither has one.

    The piles' stations are read with them (`select_related`).
    """
    tenant = Tenant.objects.filter(schema_name=current_schema()).values_list("qr_prefix", flat=True).first()
    return {pile.pk: pile.station.qr_prefix or tenant or "" for pile in piles}


def locked_piles(*, pile_ids: Iterable[int]) -> set[int]:
    """Return which of the piles the last work parameters that they took (0x52) have locked."""
    last = (
        PileCommand.objects.filter(
            pile_id__in=list(pile_ids), kind=CommandKind.SET_WORK, state=CommandState.DONE
        )
        .order_by("pile_id", "-id")
        .distinct("pile_id")
        .values_list("pile_id", "payload")
    )
    return {pile_id for pile_id, payload in last if payload["is_locked"]}


FAILED = (CommandState.REFUSED, CommandState.UNDELIVERED, CommandState.EXPIRED)


def batch_progress(*, batches: Iterable[CommandBatch]) -> dict[int, dict[str, int]]:
    """Return {batch id: {"total", "done", "failed", "open": number of commands}} in one query."""
    found = {batch.pk: {"total": 0, "done": 0, "failed": 0, "open": 0} for batch in batches}
    rows = PileCommand.objects.filter(batch_id__in=list(found)).order_by()
    for batch_id, state, number in rows.values_list("batch_id", "state").annotate(Count("id")):
        word = "done" if state == CommandState.DONE else "failed" if state in FAILED else "open"
        found[batch_id][word] += number
        found[batch_id]["total"] += number
    return found
