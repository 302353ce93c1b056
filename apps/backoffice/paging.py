"""Numbered pages of lists that may be too long to count."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

CAP = 10_000
"""Nobody turns so many rows over page by page; who wants older ones filters or sorts the other way round."""


class AtLeast(int):
    """A count that stopped there: it reckons like the number and shows that there are more."""

    def __str__(self) -> str:
        return _("%(count)s+") % {"count": f"{int(self):,}"}


class CappedPaginator(Paginator):
    """Counts up to CAP: a list of five million rows opens as fast as one of a few hundred."""

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        """The number of rows; AtLeast(CAP) when there are more."""
        rows = self.object_list
        found = rows.order_by()[: CAP + 1].count() if isinstance(rows, QuerySet) else len(rows)
        return AtLeast(CAP) if found > CAP else found
