import re
from enum import IntEnum, IntFlag

import pytest
from django.utils.translation import gettext, override

from ykc_server.admin import meaning_words
from ykc_server.protocol import BY_NAME
from ykc_server.protocol.codes import (
    AuthFailure,
    BatteryType,
    HardwareFault,
    OneIsSuccess,
    Permission,
    StartFailure,
    StartMode,
    StopFailure,
    StopReason,
    ZeroIsSuccess,
)
from ykc_server.protocol.fields import Bits, Coded, Groups, Listed
from ykc_server.protocol.messages import (
    BmsAbort,
    BmsError,
    BmsInfo,
    ChargerAbort,
    Realtime,
    TransactionRecord,
)
from ykc_server.protocol.words import WORDS, Word, field_words, word, words


def zeros(cls, **raw):
    values = {name: bytes(f.size) if f.format.endswith("s") else 0 for name, f in cls.spec.fields.items()}
    return cls(**values | raw)


def flat(fields):
    for field in fields:
        yield from flat(field.items.values()) if isinstance(field, Listed) else (field,)


@pytest.mark.parametrize("codes", [StopReason, AuthFailure, StartFailure, StopFailure, HardwareFault])
def test_every_reason_has_words_of_its_own(codes):
    assert WORDS[codes].keys() == {code.value for code in codes}
    assert len(set(WORDS[codes].values())) == len(codes)


def test_everything_a_frame_can_say_has_words_in_chinese():
    """Names that no language translates have no small letters: VIN, V1.6."""
    said = set()
    for cls in BY_NAME.values():
        for field in flat(cls.spec.fields.values()):
            if isinstance(field, Coded | Bits):
                everything = (
                    range(256) if isinstance(field, Coded) else [1 << bit for bit in range(8 * field.size)]
                )
                said |= {text for raw in everything for one in field_words(field, raw) for text in one}
            if isinstance(field, Groups):
                said |= {
                    WORDS[group.codes][code] for group in field.groups if group.codes for code in group.codes
                }
    with override("zh-hans"):
        english = {text for text in said if gettext(text or "-") == (text or "-")}
    assert {text for text in english if re.search(r"[a-z]{2}", text)} == set()
    assert len(said - english) > 150


def test_words_that_mean_something_else_elsewhere_are_not_taken_for_it():
    with override("zh-hans"):
        said = [
            gettext(word(code))
            for code in (
                ZeroIsSuccess.FAIL,
                OneIsSuccess.SUCCESS,
                StartMode.APP,
                Permission.ALLOWED,
                BatteryType.LFP,
            )
        ]
        assert said == ["失败", "成功", "APP 启动", "允许", "磷酸铁锂"]


def test_a_code_and_what_a_group_says_are_translated_part_by_part():
    with override("zh-hans"):
        assert meaning_words("start failed: insulation") == "启动失败：绝缘"
        said = meaning_words("insulation: abnormal; charging permission: forbidden; 0x8A")
        assert said == "绝缘: 异常; 充电允许: 禁止; 0x8A"


def test_the_stop_reasons_of_the_table_are_all_there():
    reserved = {0x46, 0x47, 0x48, 0x49, 0x58, 0x65, 0x66, 0x67, 0x68, 0x69, 0x78} | set(range(0x8A, 0x90))
    assert {reason.value for reason in StopReason} == set(range(0x40, 0x91)) - reserved
    assert {failure.value for failure in AuthFailure} == set(range(0x0C))
    assert [flag.value for flag in HardwareFault] == [1 << bit for bit in range(13)]


def test_words_of_a_battery_that_ends_the_charge():
    abort = zeros(BmsAbort, abort_reason=0b01_00_00_01, abort_fault=0b10 << 12, abort_error=0b01)
    assert words(abort) == {
        "abort_reason": [Word("state of charge reached"), Word("charger stopped first")],
        "abort_fault": [Word("voltage at detection point 2", "untrusted")],
        "abort_error": [Word("current too high")],
    }
    assert str(words(abort)["abort_fault"][0]) == "voltage at detection point 2: untrusted"


def test_words_of_a_charger_that_ends_the_charge():
    abort = zeros(ChargerAbort, abort_reason=0b01 << 2, abort_fault=0b01 << 8, abort_error=0b01 << 2)
    assert words(abort) == {
        "abort_reason": [Word("stopped by hand")],
        "abort_fault": [Word("emergency stop")],
        "abort_error": [Word("voltage abnormal")],
    }


def test_words_of_missed_frames():
    first_and_last = 0b01 | 0b10 << 56 | 3 << 58
    assert words(zeros(BmsError, error_bits=first_and_last))["error_bits"] == [
        Word("charger identification (CRM 00)", "timeout"),
        Word("battery statistics (BSD)", "untrusted"),
        Word("other error of the charger", "3"),
    ]
    assert zeros(BmsError, error_bits=0b01 << 42).encode()[30:38].hex() == "0000000000040000"
    assert words(zeros(BmsError, error_bits=0b01 << 42))["error_bits"] == [
        Word("battery ready (BRO)", "timeout")
    ]


def test_charging_has_to_be_allowed():
    assert words(zeros(BmsInfo, status_bits=0b01 << 12))["status_bits"] == []
    assert words(zeros(BmsInfo, status_bits=0b10_00_00_01))["status_bits"] == [
        Word("cell voltage", "too high"),
        Word("battery temperature", "untrusted"),
        Word("charging permission", "forbidden"),
    ]
    assert words(zeros(BmsInfo, status_bits=0b11 | 1 << 12))["status_bits"] == [Word("cell voltage", "3")]


def test_codes_and_flags():
    assert words(zeros(TransactionRecord, stop_reason=0x45, start_mode=9)) == {
        "start_mode": [Word("0x09")],
        "stop_reason": [Word("stopped by hand at the pile")],
    }
    faults = words(zeros(Realtime, hardware_fault=0x1001))["hardware_fault"]
    assert faults == [Word("emergency stop button"), Word("door open")]


def test_every_code_of_every_table_has_a_word():
    for cls in BY_NAME.values():
        for field in cls.spec.fields.values():
            codes: list[IntEnum | IntFlag] = []
            if isinstance(field, Coded):
                codes += field.codes
            elif isinstance(field, Groups):
                codes += [code for group in field.groups if group.codes for code in group.codes]
            elif isinstance(field, Bits) and field.flags:
                codes += field.flags
            assert all(word(code) for code in codes)


def test_groups_do_not_overlap_and_fit_their_field():
    for cls in BY_NAME.values():
        for field in cls.spec.fields.values():
            if isinstance(field, Groups):
                taken = 0
                for group in field.groups:
                    mask = (1 << group.width) - 1 << group.shift
                    assert not taken & mask
                    taken |= mask
                assert taken < 1 << 8 * field.size
