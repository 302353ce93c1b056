"""A driver's own cars: the list that the app shows, and which one charges."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from apps.customers import cards
from apps.customers.errors import TooManyVehicles, VehicleNotFound
from apps.customers.models import Customer, Vehicle

MOST = 10


def vehicles_of(*, customer: Customer) -> QuerySet[Vehicle]:
    """Return a customer's vehicles, the default one first."""
    return Vehicle.objects.filter(customer=customer).order_by("-is_default", "id")


def vehicle_of(*, customer: Customer, vehicle_id: int) -> Vehicle:
    """Return one of a customer's vehicles. Raises VehicleNotFound, also for another's."""
    found = Vehicle.objects.filter(customer=customer, pk=vehicle_id).first()
    if found is None:
        raise VehicleNotFound
    return found


def plate_for(*, customer: Customer, vehicle_id: int | None) -> str:
    """Return the plate of the car that charges: the chosen one, else the default one; "" without.

    Raises VehicleNotFound.
    """
    if vehicle_id is not None:
        return vehicle_of(customer=customer, vehicle_id=vehicle_id).plate
    plates = Vehicle.objects.filter(customer=customer, is_default=True).values_list("plate", flat=True)
    return plates.first() or ""


def add(*, customer: Customer, plate: str, vin: str, plug_and_charge: bool, is_default: bool) -> Vehicle:
    """Register a driver's car, the first one as the default. The same car again is the one that is there.

    Raises as `cards.add_vehicle`, and TooManyVehicles.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)  # counting and adding is one step
        mine = list(vehicles_of(customer=customer))
        same = (cards.clean_plate(plate), cards.clean_vin(vin), plug_and_charge)
        for one in mine:
            if (one.plate, one.vin, one.plug_and_charge) == same:
                return make_default(customer=customer, vehicle_id=one.pk) if is_default else one
        if len(mine) >= MOST:
            raise TooManyVehicles(limit=MOST)
        return cards.add_vehicle(
            customer=customer,
            plate=plate,
            vin=vin,
            plug_and_charge=plug_and_charge,
            is_default=is_default or not mine,
        )


def change(*, customer: Customer, vehicle_id: int, plate: str, vin: str, plug_and_charge: bool) -> Vehicle:
    """Write a car anew. Raises VehicleNotFound, InvalidInput, VehicleTaken."""
    with transaction.atomic():
        vehicle = Vehicle.objects.select_for_update().filter(customer=customer, pk=vehicle_id).first()
        if vehicle is None:
            raise VehicleNotFound
        vehicle.plate, vehicle.vin = plate, vin
        vehicle.plug_and_charge = plug_and_charge
        return cards.save_vehicle(vehicle)


def make_default(*, customer: Customer, vehicle_id: int) -> Vehicle:
    """Make one car the default, and no other. Raises VehicleNotFound."""
    with transaction.atomic():
        mine = {one.pk: one for one in vehicles_of(customer=customer).select_for_update().order_by("pk")}
        if vehicle_id not in mine:
            raise VehicleNotFound
        for pk, one in mine.items():
            if one.is_default != (pk == vehicle_id):
                one.is_default = pk == vehicle_id
                one.save(update_fields=["is_default", "updated_at"])
    return mine[vehicle_id]


def remove(*, customer: Customer, vehicle_id: int) -> None:
    """Forget a car; the oldest other one becomes the default where it was. Raises VehicleNotFound."""
    with transaction.atomic():
        mine = list(vehicles_of(customer=customer).select_for_update().order_by("pk"))
        gone = next((one for one in mine if one.pk == vehicle_id), None)
        if gone is None:
            raise VehicleNotFound
        gone.delete()
        rest = [one for one in mine if one is not gone]
        if rest and gone.is_default:
            rest[0].is_default = True
            rest[0].save(update_fields=["is_default", "updated_at"])
