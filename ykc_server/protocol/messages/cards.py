"""Balance during a charge, and the cards a pile lets charge while it is offline (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import BalanceResult, CardPresence, ClearFailure, OneIsSuccess, SyncFailure
from ykc_server.protocol.fields import Bcd, Coded, Hex, Listed
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import Balance, GunNo, PhysicalCardNo, PileNo

PHYSICAL = {"physical_card_no": Hex(8)}


@message(0x42, "balance_update", Direction.DOWN, "远程账户余额更新")
class BalanceUpdate(Message, gc=False):
    """With card number zero it is meant for whoever charges at the gun, else the pile compares the card."""

    pile_no: PileNo
    gun_no: GunNo
    physical_card_no: PhysicalCardNo
    balance: Annotated[Balance, "修改后账户金额"]


@message(0x41, "balance_update_ack", Direction.UP, "余额更新应答")
class BalanceUpdateAck(Message, gc=False):
    pile_no: PileNo
    physical_card_no: PhysicalCardNo
    result: Annotated[int, Coded(BalanceResult), "修改结果"]


@message(0x44, "offline_card_sync", Direction.DOWN, "离线卡数据同步")
class OfflineCardSync(Message, gc=False):
    """At most 15 cards; known ones are overwritten."""

    pile_no: PileNo
    cards: Annotated[bytes, Listed(15, {"logical_card_no": Bcd(8), **PHYSICAL}, "count"), "下发卡"]


@message(0x43, "offline_card_sync_ack", Direction.UP, "离线卡数据同步应答")
class OfflineCardSyncAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(OneIsSuccess), "保存结果"]
    fail_reason: Annotated[int, Coded(SyncFailure), "失败原因"]


@message(0x46, "offline_card_clear", Direction.DOWN, "离线卡数据清除")
class OfflineCardClear(Message, gc=False):
    """At most 24 cards."""

    pile_no: PileNo
    cards: Annotated[bytes, Listed(24, PHYSICAL, "count"), "物理卡号"]


CLEAR_RESULT = {**PHYSICAL, "result": Coded(OneIsSuccess), "fail_reason": Coded(ClearFailure)}


@message(0x45, "offline_card_clear_ack", Direction.UP, "离线卡数据清除应答")
class OfflineCardClearAck(Message, gc=False):
    """The reason of a cleared card means nothing: the specification gives both 00 and 02 for it."""

    pile_no: PileNo
    results: Annotated[bytes, Listed(24, CLEAR_RESULT), "清除结果"]


@message(0x48, "offline_card_query", Direction.DOWN, "离线卡数据查询")
class OfflineCardQuery(Message, gc=False):
    """At most 26 cards."""

    pile_no: PileNo
    cards: Annotated[bytes, Listed(26, PHYSICAL, "count"), "物理卡号"]


@message(0x47, "offline_card_query_ack", Direction.UP, "离线卡数据查询应答")
class OfflineCardQueryAck(Message, gc=False):
    pile_no: PileNo
    results: Annotated[bytes, Listed(27, {**PHYSICAL, "result": Coded(CardPresence)}), "查询结果"]
