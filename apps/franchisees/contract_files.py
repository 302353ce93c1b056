"""The files of contracts, and who opens them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.backoffice import scope
from apps.files import content, kinds
from apps.files.models import StoredFile
from apps.franchisees.models import Franchisee

SEE = "franchisees.view_franchisee"


def _opens(request: HttpRequest, file: StoredFile) -> bool:
    """Who sees the franchisee."""
    person: Any = request.user
    rows = Franchisee.objects.filter(contracts__file=file)
    return person.has_perm(SEE) and scope.narrow(rows, person).exists()


KIND = kinds.register(
    kinds.Kind("franchise-contract", content.PICTURES | {content.PDF}, 20 * kinds.MB, opens=_opens)
)
