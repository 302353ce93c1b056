"""The pages of prices, and what a station's pages show of its prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.backoffice import pages, shown
from apps.common.time import SHANGHAI, now
from apps.piles.models import OfferedPile
from apps.pricing.bar import CLASS_NAMES, bar
from apps.pricing.holiday_pages import HolidayAdmin
from apps.pricing.models import PriceVersion
from apps.pricing.push_pages import PriceAssignmentAdmin, PricePushAdmin
from apps.pricing.retail_pages import RetailPriceAdmin
from apps.pricing.selectors import effective_versions, retail_prices, station_versions
from apps.pricing.tariff import ClassPrice, RateClass
from apps.pricing.task_pages import PriceTaskAdmin
from apps.pricing.template_pages import PriceTemplateAdmin
from apps.sites.models import Station

__all__ = [
    "HolidayAdmin",
    "PriceAssignmentAdmin",
    "PricePushAdmin",
    "PriceTaskAdmin",
    "PriceTemplateAdmin",
    "RetailPriceAdmin",
]

MOST_TO_COME = 5


def station_prices(stations: Sequence[Station]) -> dict[int, SafeString | str]:
    """Return the price of this moment for each station, electricity and service together."""
    moment = now()
    ids = [station.pk for station in stations]
    found = station_versions(station_ids=ids, at=moment)
    retail = retail_prices(station_ids=ids, at=moment)
    return {
        station.pk: price_cell(found.get(station.pk), retail.get(station.pk, {}), moment)
        for station in stations
    }


def pile_prices(piles: Sequence[OfferedPile]) -> dict[int, SafeString | str]:
    """Return what a driver pays at each pile at this moment, electricity and service together."""
    moment = now()
    found = effective_versions(places=[(pile.pk, pile.station_id) for pile in piles], at=moment)
    retail = retail_prices(station_ids=[pile.station_id for pile in piles], at=moment)
    return {
        pile.pk: price_cell(found.get(pile.pk), retail.get(pile.station_id, {}), moment) for pile in piles
    }


def price_cell(
    version: PriceVersion | None, retail: Mapping[RateClass, ClassPrice], moment: datetime
) -> SafeString:
    """Return the price of a moment with its rate class, or that there is none."""
    if version is None:
        return shown.label(gettext("no price"), "danger")
    tariff = version.to_tariff().sold_at(retail)
    rate_class = tariff.class_at(moment)
    return format_html(
        '<i class="bo-swatch bo-rate-{}"></i>{} <b>{}</b>',
        rate_class.value,
        CLASS_NAMES[rate_class],
        shown.price(tariff.prices[rate_class].total),
    )


def station_panel(request: HttpRequest, station: Station) -> dict[str, Any]:
    """Return the bar of the version in force at a station."""
    moment = now()
    version = station_versions(station_ids=[station.pk], at=moment).get(station.pk)
    retail = retail_prices(station_ids=[station.pk], at=moment).get(station.pk, {})
    return {
        "version": version,
        "is_retail": bool(retail),
        "retail_url": f"{reverse('admin:pricing_retailprice_new')}?station={station.pk}",
        "task_url": f"{reverse('admin:pricing_pricetask_new')}?station={station.pk}",
        "history_url": f"{reverse('admin:pricing_priceassignment_changelist')}?station__id__exact={station.pk}",
        "to_come": station.prices.filter(starts_at__gt=moment)
        .select_related("version__template", "task")
        .order_by("starts_at", "pk")[:MOST_TO_COME],
        "bar": bar(version.to_tariff().sold_at(retail), moment) if version else None,
        "at": moment.astimezone(SHANGHAI),
    }


pages.add_column(Station, pages.Column("price_now", _("price now (yuan/kWh)"), station_prices))
pages.add_column(OfferedPile, pages.Column("price_now", _("price now (yuan/kWh)"), pile_prices))
pages.add_panel(
    Station,
    pages.Panel(
        _("Prices today"),
        "backoffice/station_prices.html",
        station_panel,
        "pricing.view_pricetemplate",
        above=True,
    ),
)
