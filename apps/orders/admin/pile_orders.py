"""The orders of a pile, on a page beside its form."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.backoffice import pages, scope
from apps.backoffice.object_pages import ObjectPage
from apps.orders.admin.rows import newest_lines
from apps.orders.models import Order
from apps.piles.models import Pile

ROWS = 50
SEE = "orders.view_order"


class PileOrdersPage(ObjectPage):
    """The newest orders of the pile's guns; orders from the time at another station are seen by who sees that one."""

    permission_required = ("piles.view_pile", SEE)
    title = _("Orders")
    template_name = "backoffice/pile_orders.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The newest ones; the list has them all."""
        guns = list(self.object.connectors.values_list("pk", flat=True))
        orders = scope.narrow(Order.objects.filter(connector_id__in=guns), self.request.user)
        everything = f"{reverse('admin:orders_order_changelist')}?q={self.object.pile_code}"
        return super().get_context_data(
            data={"rows": newest_lines(orders, self.request.user, most=ROWS)},
            everything=everything,
            **kwargs,
        )


pages.add_page(Pile, pages.Page("<path:object_id>/orders/", "orders_pile_orders", PileOrdersPage))
pages.add_tab(Pile, pages.Tab(PileOrdersPage.title, "orders_pile_orders", SEE, place=35))
