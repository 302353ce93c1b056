"""Work parameters, reboot, update and QR codes (YKC V1.6; the QR prefix is an extension met in the field)."""

from typing import Annotated

from ykc_server.protocol.codes import ExecuteMode, OneIsSuccess, PileModel, QrFormat, UpdateResult, WorkSwitch
from ykc_server.protocol.fields import Ascii, Coded, Text, Uint
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import Percent, PileNo, Plain, SecretText


@message(0x52, "work_params", Direction.DOWN, "充电桩工作参数设置")
class WorkParams(Message, gc=False):
    """`max_power_percent` from 30 to 100."""

    pile_no: PileNo
    disable: Annotated[int, Coded(WorkSwitch), "是否允许工作"]
    max_power_percent: Annotated[Percent, "最大允许输出功率"]


@message(0x51, "work_params_ack", Direction.UP, "充电桩工作参数设置应答")
class WorkParamsAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(OneIsSuccess), "设置结果"]


@message(0x92, "reboot", Direction.DOWN, "远程重启")
class Reboot(Message, gc=False):
    pile_no: PileNo
    mode: Annotated[int, Coded(ExecuteMode), "执行控制"]


@message(0x91, "reboot_ack", Direction.UP, "远程重启应答")
class RebootAck(Message, gc=False):
    """A new login follows."""

    pile_no: PileNo
    result: Annotated[int, Coded(OneIsSuccess), "设置结果"]


@message(0x94, "update", Direction.DOWN, "远程更新")
class Update(Message, gc=False):
    """Program from an FTP server. Answered after the attempt, which may take the whole download time-out."""

    pile_no: PileNo
    pile_model: Annotated[int, Coded(PileModel), "桩型号"]
    pile_power: Annotated[int, Uint(2, unit="kW"), "桩功率"]
    server: Annotated[bytes, Ascii(16), "升级服务器地址"]
    port: Annotated[int, Uint(2), "升级服务器端口"]
    username: Annotated[SecretText, "用户名"]
    password: Annotated[SecretText, "密码"]
    path: Annotated[bytes, Ascii(32), "文件路径"]
    mode: Annotated[int, Coded(ExecuteMode), "执行控制"]
    download_timeout: Annotated[int, Uint(1, unit="min"), "下载超时时间"]


@message(0x93, "update_ack", Direction.UP, "远程更新应答")
class UpdateAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(UpdateResult), "升级状态"]


@message(0xF0, "qr_prefix_set", Direction.DOWN, "二维码前缀下发")
class QrPrefixSet(Message, gc=False):
    """Piles forget it when they lose power: it is sent after every login."""

    pile_no: PileNo
    qr_format: Annotated[int, Coded(QrFormat), "二维码格式"]
    prefix: Annotated[bytes, Text(200, "prefix_length"), "前缀"]


@message(0xF1, "qr_prefix_set_ack", Direction.UP, "二维码前缀下发应答")
class QrPrefixSetAck(Message, gc=False):
    """Sources disagree on which `result` is success, so it has no names."""

    pile_no: PileNo
    result: Annotated[Plain, "下发结果"]
