"""Price templates are the company's; where they apply, and prices of a station, belong to it."""

from apps.backoffice import scope
from apps.pricing.models import PriceAssignment, PricePush, PriceTemplate, RetailPrice

scope.by_permission(PriceTemplate)
scope.by_station(PriceAssignment, "station", "pile__station")
scope.by_station(PricePush, "pile__station")
scope.by_station(RetailPrice, "station")
