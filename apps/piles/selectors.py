"""Reads that span piles, connectors and their status."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from apps.piles.enums import ConnectorState, PileState
from apps.piles.errors import PileNotFound
from apps.piles.models import Connector


def connector_by_code(*, code: str) -> Connector:
    """Return the connector of a full code, with pile, station and status. Raises PileNotFound."""
    found = Connector.objects.select_related("pile__station", "status").filter(code=code).first()
    if found is None or found.pile.state == PileState.RETIRED:
        raise PileNotFound(code=code)
    return found


def lock_connector(*, code: str) -> Connector:
    """Lock and return the connector of a full code, with pile, station and status; inside `atomic()`. PileNotFound."""
    found = (
        Connector.objects.select_for_update(of=["self"])
        .select_related("pile__station", "status")
        .filter(code=code)
        .first()
    )
    if found is None or found.pile.state == PileState.RETIRED:
        raise PileNotFound(code=code)
    return found


def connectors_of(*, station_id: int) -> QuerySet[Connector]:
    """Return a station's connectors that drivers may see, with pile and status, in the order of their codes."""
    return (
        Connector.objects.select_related("pile", "status")
        .filter(pile__station_id=station_id)
        .exclude(pile__state=PileState.RETIRED)
        .order_by("code")
    )


def gun_counts(*, station_ids: list[int]) -> dict[int, dict[str, int]]:
    """Return {station id: {"dc": n, "ac": n, "dc_idle": n, "ac_idle": n}} in one query."""
    idle = Q(
        status__state__in=[ConnectorState.IDLE, ConnectorState.PLUGGED], pile__state=PileState.IN_SERVICE
    )
    rows = (
        Connector.objects.filter(pile__station_id__in=station_ids)
        .exclude(pile__state=PileState.RETIRED)
        .values("pile__station_id", "pile__kind")
        .annotate(total=Count("id"), idle=Count("id", filter=idle))
    )
    counts = {station: {"dc": 0, "ac": 0, "dc_idle": 0, "ac_idle": 0} for station in station_ids}
    for row in rows:
        station = counts[row["pile__station_id"]]
        station[row["pile__kind"]] = row["total"]
        station[f"{row['pile__kind']}_idle"] = row["idle"]
    return counts
