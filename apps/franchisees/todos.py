"""What waits for a person at franchisees."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Todo
from apps.franchisees.models import Franchisee
from apps.franchisees.selectors import ending

todo.add(
    Todo(
        _("Franchise contracts ending within 30 days"),
        "franchisees.view_franchisee",
        "admin:franchisees_franchisee_changelist",
        lambda _request: ending(Franchisee.objects.all()),
        "contract=ending",
    )
)
