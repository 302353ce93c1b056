"""Fields that many tables share, with the unit of their value. Their raw form is what the annotation says."""

from typing import Annotated

from ykc_server.protocol.fields import Ascii, Bcd, Hex, Time, Uint

PileNo = Annotated[bytes, Bcd(7)]
GunNo = Annotated[bytes, Bcd(1)]
TransactionNo = Annotated[bytes, Bcd(16)]
BillingModelNo = Annotated[bytes, Bcd(2)]
LogicalCardNo = Annotated[bytes, Bcd(8)]
PhysicalCardNo = Annotated[bytes, Hex(8)]
Vin = Annotated[bytes, Ascii(17)]
Timestamp = Annotated[bytes, Time()]

Plain = Annotated[int, Uint(1)]
Minutes = Annotated[int, Uint(2)]
Percent = Annotated[int, Uint(1)]
Volt = Annotated[int, Uint(2, places=1)]
Ampere = Annotated[int, Uint(2, places=1)]
Celsius = Annotated[int, Uint(1, offset=-50, zero_is_none=True)]
Kwh = Annotated[int, Uint(4, places=4)]
MeterKwh = Annotated[int, Uint(5, places=4)]
PricePerKwh = Annotated[int, Uint(4, places=5)]
Amount = Annotated[int, Uint(4, places=4)]
Balance = Annotated[int, Uint(4, places=2)]
