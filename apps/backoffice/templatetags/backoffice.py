"""Filters of the back office's own templates: how values look is said in `shown`."""

from decimal import Decimal

from django import template

from apps.backoffice import banners, shown

register = template.Library()
for show in (shown.moment, shown.minute, shown.yuan, shown.price, shown.duration):
    register.filter(show.__name__, show)


@register.filter
def opposite(amount: Decimal) -> Decimal:
    """Return an amount with the other sign: a credit shown in its own column."""
    return -amount


@register.filter
def change(amount: Decimal) -> str:
    """Return a change of money with its sign; nothing where nothing changed."""
    return f"{amount:+.2f}" if amount else ""


@register.simple_tag(takes_context=True)
def banner_lines(context: template.Context) -> list[banners.Banner]:
    """Return what has to be said above this page; nothing to who is not signed in."""
    request = context.get("request")
    person = getattr(request, "user", None)
    return banners.banners(request) if person is not None and person.is_authenticated else []


@register.filter
def price_change(amount: Decimal | None) -> str:
    """Return a change of a price with its sign and all its decimals; nothing where nothing changed."""
    if not amount:
        return ""
    return f"{'+' if amount > 0 else '−'}{shown.price(abs(amount))}"
