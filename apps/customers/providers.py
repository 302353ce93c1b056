"""Mini-programs as the platform sees them: which there are, and whether they work."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from apps.common.ids import whole_number
from apps.customers import mini_programs
from apps.customers.models import MiniProgram
from apps.tenancy.connections import Connection, Kind, Outcome, register


def _found() -> Iterator[Connection]:
    for mini in MiniProgram.objects.order_by("provider"):
        yield Connection(str(mini.pk), mini.get_provider_display(), mini.app_id, mini.is_active)


def _test(number: str) -> Outcome | None:
    mini = MiniProgram.objects.filter(pk=whole_number(number)).first()
    return mini_programs.check_connection(mini) if mini else None


register(Kind("mini-program", _("mini-programs"), _found, _test))
