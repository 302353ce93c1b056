"""A driver's cars."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import InvalidInput
from apps.customers import cards, vehicles
from apps.miniapp.api import LARGEST_ID, OPTIONAL_KEY, DriverView, body, described
from apps.miniapp.once import once


class VehicleInput(serializers.Serializer[Any]):
    """A plate, a VIN, or both."""

    plate = serializers.CharField(
        max_length=16, required=False, allow_blank=True, default="", help_text="of seven characters, or eight"
    )
    vin = serializers.CharField(
        max_length=24,
        required=False,
        allow_blank=True,
        default="",
        help_text="17 characters without I, O and Q",
    )
    plug_and_charge = serializers.BooleanField(
        default=False, help_text="starts by plugging in; needs the VIN"
    )

    def validate_plate(self, value: str) -> str:
        """Return it as it is kept."""
        try:
            return cards.clean_plate(value)
        except InvalidInput:
            raise serializers.ValidationError(_("This is no Chinese number plate.")) from None

    def validate_vin(self, value: str) -> str:
        """Return it as it is kept."""
        try:
            return cards.clean_vin(value)
        except InvalidInput:
            raise serializers.ValidationError(
                _("A VIN has 17 digits and letters, without I, O and Q.")
            ) from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Something has to be known of the car."""
        if not attrs["plate"] and not attrs["vin"]:
            raise serializers.ValidationError({"plate": [_("Send the plate or the VIN.")]})
        if attrs["plug_and_charge"] and not attrs["vin"]:
            raise serializers.ValidationError({"vin": [_("Starting by plugging in needs the VIN.")]})
        return attrs


class NewVehicleInput(VehicleInput):
    is_default = serializers.BooleanField(default=False)


class VehicleOutput(serializers.Serializer[Any]):
    id = serializers.CharField()
    plate = serializers.CharField()
    vin = serializers.CharField()
    plug_and_charge = serializers.BooleanField()
    is_default = serializers.BooleanField()


class VehiclesOutput(serializers.Serializer[Any]):
    items = VehicleOutput(many=True)


VEHICLE = {
    "id": "7",
    "plate": "苏AD12345",
    "vin": "LFV3A23C0A3000001",
    "plug_and_charge": False,
    "is_default": True,
}
GIVEN = {"plate": "苏A·D12345", "vin": "LFV3A23C0A3000001", "plug_and_charge": False}


class VehiclesView(DriverView):
    @described(
        "The driver's vehicles, the default one first",
        output=VehiclesOutput,
        example={"items": [VEHICLE]},
        errors=[401, 403],
        operation_id="vehicles",
        tags=["vehicles"],
    )
    def get(self, request: Request) -> Response:
        """All of them: ten at most."""
        return Response(VehiclesOutput({"items": vehicles.vehicles_of(customer=self.customer)}).data)

    @described(
        "Add a vehicle",
        request=NewVehicleInput,
        request_example={**GIVEN, "is_default": True},
        output=VehicleOutput,
        status=201,
        example=VEHICLE,
        errors=[400, 401, 403, 409],
        operation_id="vehicles_add",
        tags=["vehicles"],
    )
    def post(self, request: Request) -> Response:
        """The same vehicle again is the one that is there. The first one becomes the default."""
        data = body(request, NewVehicleInput)
        return Response(VehicleOutput(vehicles.add(customer=self.customer, **data)).data, status=201)


class VehicleView(DriverView):
    @described(
        "One vehicle",
        output=VehicleOutput,
        example=VEHICLE,
        errors=[401, 403, 404],
        operation_id="vehicle",
        tags=["vehicles"],
    )
    def get(self, request: Request, vehicle_id: int) -> Response:
        """As it is kept: blanks and dots in the plate are gone."""
        found = vehicles.vehicle_of(customer=self.customer, vehicle_id=min(vehicle_id, LARGEST_ID))
        return Response(VehicleOutput(found).data)

    @described(
        "Change a vehicle",
        request=VehicleInput,
        request_example=GIVEN,
        output=VehicleOutput,
        example=VEHICLE,
        errors=[400, 401, 403, 404, 409],
        operation_id="vehicle_change",
        tags=["vehicles"],
    )
    def post(self, request: Request, vehicle_id: int) -> Response:
        """What is sent takes the place of what was there."""
        data = body(request, VehicleInput)
        changed = vehicles.change(customer=self.customer, vehicle_id=min(vehicle_id, LARGEST_ID), **data)
        return Response(VehicleOutput(changed).data)


class DefaultVehicleView(DriverView):
    @described(
        "Make a vehicle the default",
        output=VehicleOutput,
        example=VEHICLE,
        errors=[401, 403, 404],
        operation_id="vehicle_default",
        tags=["vehicles"],
    )
    def post(self, request: Request, vehicle_id: int) -> Response:
        """A charge without a choice is for this one."""
        made = vehicles.make_default(customer=self.customer, vehicle_id=min(vehicle_id, LARGEST_ID))
        return Response(VehicleOutput(made).data)


class RemoveVehicleView(DriverView):
    @described(
        "Remove a vehicle",
        parameters=[OPTIONAL_KEY],
        output=VehiclesOutput,
        example={"items": [VEHICLE]},
        errors=[400, 401, 403, 404, 409],
        operation_id="vehicle_remove",
        tags=["vehicles"],
    )
    def post(self, request: Request, vehicle_id: int) -> Response:
        """Answers with those that are left. Orders keep the plate that they were charged with."""

        def remove() -> dict[str, Any]:
            vehicles.remove(customer=self.customer, vehicle_id=min(vehicle_id, LARGEST_ID))
            left = vehicles.vehicles_of(customer=self.customer)
            return dict(VehiclesOutput({"items": left}).data)

        return once(request, self.customer, remove, may_lack_key=True)
