"""Fields that many tables share, with the unit of their value. Their raw form is what the annotation says."""

from typing import Annotated

from ykc_server.protocol.fields import Ascii, Bcd, Hex, Time, Uint, Vin

PileNo = Annotated[bytes, Bcd(7), "桩编号"]
GunNo = Annotated[bytes, Bcd(1), "枪号"]
TransactionNo = Annotated[bytes, Bcd(16), "交易流水号"]
BillingModelNo = Annotated[bytes, Bcd(2), "计费模型编号"]
LogicalCardNo = Annotated[bytes, Bcd(8), "逻辑卡号"]
PhysicalCardNo = Annotated[bytes, Hex(8), "物理卡号"]
VinForward = Annotated[bytes, Vin(), "VIN"]
VinLastFirst = Annotated[bytes, Vin(last_first=True), "VIN"]
Timestamp = Annotated[bytes, Time()]
ParallelSeq = Annotated[bytes, Bcd(6), "并充序号"]
SecretText = Annotated[bytes, Ascii(16, secret=True)]
Reserved1 = Annotated[bytes, Hex(1), "预留位"]
Reserved4 = Annotated[bytes, Hex(4), "预留位"]

Plain = Annotated[int, Uint(1)]
# The ground lock frames write the gun number as BIN, all others as BCD.
BinaryGunNo = Annotated[int, Uint(1), "枪号"]
Minutes = Annotated[int, Uint(2, unit="min")]
Percent = Annotated[int, Uint(1, unit="%")]
Volt = Annotated[int, Uint(2, places=1, unit="V")]
CellVolt = Annotated[int, Uint(2, places=2, unit="V")]
Ampere = Annotated[int, Uint(2, places=1, unit="A")]
# By GB/T 27930 the current into a battery is negative; `bms.magnitude` drops the sign.
BmsAmpere = Annotated[int, Uint(2, places=1, offset=-400, unit="A")]
Celsius = Annotated[int, Uint(1, offset=-50, zero_is_none=True, unit="°C")]
Number = Annotated[int, Uint(1, offset=1)]
Kwh = Annotated[int, Uint(4, places=4, unit="kWh")]
CoarseKwh = Annotated[int, Uint(2, places=1, unit="kWh")]
MeterKwh = Annotated[int, Uint(5, places=4, unit="kWh")]
PricePerKwh = Annotated[int, Uint(4, places=5, unit="yuan/kWh")]
Amount = Annotated[int, Uint(4, places=4, unit="yuan")]
Balance = Annotated[int, Uint(4, places=2, unit="yuan")]
