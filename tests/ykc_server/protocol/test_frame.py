import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ykc_server.protocol.strategies import any_message
from ykc_server.protocol import BadLength, BadStart, FrameBuffer, check_frame
from ykc_server.protocol.frame import MAX_FRAME
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import Heartbeat, RemoteStop

HEARTBEAT = bytes.fromhex("680D050000033201060021353301005718")
SWAPPED = HEARTBEAT[:-2] + HEARTBEAT[:-3:-1]
UNKNOWN = seal(b"\0\0\0\x99")
# A 68 inside the body, at the place where the search after a lost start byte comes by.
TRICKY = RemoteStop.make(pile_no="68682068686868", gun_no="68").encode(b"\x68\x08")


def feed_all(pieces):
    buffer = FrameBuffer()
    frames = []
    for piece in pieces:
        frames += buffer.feed(piece)
        assert buffer.waiting < MAX_FRAME
    return frames, buffer


@pytest.mark.parametrize(
    "frame", [HEARTBEAT, SWAPPED, UNKNOWN, TRICKY], ids=["low", "swapped", "unknown", "tricky"]
)
@pytest.mark.parametrize("trailing", [b"", HEARTBEAT[:7], b"\x68", HEARTBEAT])
def test_whole_byte_by_byte_and_with_trailing_data(frame, trailing):
    data = frame + trailing
    expected = [frame] + ([HEARTBEAT] if trailing == HEARTBEAT else [])
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        frames, buffer = feed_all(pieces)
        assert frames == expected
        assert buffer.waiting == (0 if trailing == HEARTBEAT else len(trailing))
        assert (buffer.dropped, buffer.bad_crc, buffer.bad_length) == (0, 0, 0)


def test_order_of_the_crc_is_reported():
    buffer = FrameBuffer()
    assert buffer.feed(SWAPPED) == [SWAPPED]
    assert (buffer.crc_swapped, buffer.swapped_crc) == (True, 1)
    assert buffer.feed(HEARTBEAT) == [HEARTBEAT]
    assert (buffer.crc_swapped, buffer.swapped_crc) == (False, 1)


def test_garbage_in_front_is_dropped_and_counted():
    frames, buffer = feed_all([b"\0\1\2" + HEARTBEAT])
    assert frames == [HEARTBEAT]
    assert (buffer.dropped, buffer.bad_crc, buffer.bad_length) == (3, 0, 0)


def test_garbage_without_a_start_byte_is_not_kept():
    frames, buffer = feed_all([b"\0\1\2"])
    assert frames == []
    assert (buffer.dropped, buffer.waiting) == (3, 0)


def test_after_a_wrong_crc_only_the_start_byte_is_lost():
    broken = HEARTBEAT[:-1] + b"\x19"
    frames, buffer = feed_all([broken + HEARTBEAT])
    assert frames == [HEARTBEAT]
    assert (buffer.dropped, buffer.bad_crc) == (len(broken), 1)


def test_a_frame_that_begins_inside_a_false_one_is_found():
    false_start = b"\x68\x0d\0"
    frames, buffer = feed_all([false_start + HEARTBEAT + HEARTBEAT])
    assert frames == [HEARTBEAT, HEARTBEAT]
    assert (buffer.dropped, buffer.bad_crc) == (3, 1)


def test_impossible_length_is_counted():
    for length in range(4):
        frames, buffer = feed_all([bytes((0x68, length)) + HEARTBEAT])
        assert frames == [HEARTBEAT]
        assert (buffer.dropped, buffer.bad_length, buffer.bad_crc) == (2, 1, 0)


def test_shortest_and_longest_frame():
    longest = seal(b"\0\0\0\x99" + bytes(251))
    assert (len(UNKNOWN), len(longest)) == (8, 259)
    assert feed_all([UNKNOWN + longest])[0] == [UNKNOWN, longest]
    frames, buffer = feed_all([longest[:258]])
    assert (frames, buffer.waiting) == ([], 258)
    assert buffer.feed(longest[258:]) == [longest]


@given(st.lists(any_message(), min_size=1, max_size=4), st.booleans(), st.data())
def test_frames_survive_any_split(messages, crc_swapped, data):
    frames = [message.encode(crc_swapped=crc_swapped) for message in messages]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found, buffer = feed_all(pieces)
    assert found == frames
    assert (buffer.dropped, buffer.bad_crc, buffer.bad_length, buffer.waiting) == (0, 0, 0, 0)


@given(st.binary(max_size=40).filter(lambda garbage: 0x68 not in garbage), any_message(), st.booleans())
def test_garbage_in_front_of_any_frame(garbage, message, crc_swapped):
    frame = message.encode(crc_swapped=crc_swapped)
    found, buffer = feed_all([garbage, frame])
    assert found == [frame]
    assert buffer.dropped == len(garbage)


@given(st.binary(max_size=300))
def test_any_garbage_costs_at_most_what_a_false_length_spans(garbage):
    """Whatever was sent before, enough good frames are heard again."""
    beats = [HEARTBEAT] * 40
    found, _ = feed_all([garbage, *beats])
    assert found[-20:] == beats[-20:]


@given(st.lists(st.binary(max_size=600), max_size=8))
def test_random_bytes_never_raise_and_nothing_vanishes(pieces):
    found, buffer = feed_all(pieces)
    assert sum(map(len, found)) + buffer.dropped + buffer.waiting == sum(map(len, pieces))


@given(
    st.lists(
        st.sampled_from([b"\x68", b"\x68\xff", b"\x68\x04", b"\0", HEARTBEAT[:9], HEARTBEAT]), max_size=200
    )
)
def test_bound_holds_against_start_bytes(pieces):
    found, buffer = feed_all(pieces)
    assert sum(map(len, found)) + buffer.dropped + buffer.waiting == sum(map(len, pieces))


def test_single_frame_check():
    assert check_frame(HEARTBEAT) == "ok"
    assert check_frame(SWAPPED) == "swapped"
    assert check_frame(HEARTBEAT[:-1] + b"\0") == "bad"


@pytest.mark.parametrize(
    ("frame", "error", "offset"),
    [
        (b"", BadStart, 0),
        (b"\x69" + HEARTBEAT[1:], BadStart, 0),
        (b"\x68", BadLength, 1),
        (b"\x68\x03\0\0\0\0\0", BadLength, 1),
        (HEARTBEAT[:-1], BadLength, 16),
        (HEARTBEAT + b"\0", BadLength, 17),
    ],
)
def test_what_is_not_one_frame(frame, error, offset):
    with pytest.raises(error) as caught:
        check_frame(frame)
    assert (caught.value.offset, caught.value.frame) == (offset, frame)


def test_heartbeat_constant_is_the_declared_message():
    assert Heartbeat.make(pile_no="32010600213533", gun_no="01", gun_status=0).encode(b"\x05\0") == HEARTBEAT
