from __future__ import annotations

import pytest

from tests.fuzz.mutator import Mutator, corpus
from tests.fuzz.target import Lines, fuzz, try_frame, try_stream
from ykc_server.protocol import BY_NAME, DECODE, FrameBuffer, decode
from ykc_server.protocol.frame import MAX_FRAME

FRAMES = 50_000
PARTS = 5


@pytest.mark.parametrize("seed", range(PARTS))
def test_any_bytes_are_decoded_or_refused(seed):
    ends = fuzz(Mutator(seed), FRAMES // PARTS)
    assert sum(ends.values()) - ends["framed"] == FRAMES // PARTS
    assert ends["framed"] > 1_000
    # All ways to end were taken, so that nothing hides behind a check that refuses everything.
    assert (
        min(ends[end] for end in ("decoded", "short_body", "unknown_frame", "encrypted", "bad_length")) > 50
    )


def test_the_corpus_has_every_frame_and_is_the_same_each_time():
    frames = corpus()
    assert frames == corpus()
    decoded = set()
    for frame in frames:
        if not frame[4] and DECODE[frame[5]] is not DECODE[0]:
            decoded.add(decode(frame).spec.name)
    assert decoded == set(BY_NAME)
    assert [Mutator(7).frame() for _ in range(3)] == [Mutator(7).frame() for _ in range(3)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x68" * 100_000,
        b"\x68\xff" * 50_000,
        (b"\x68\xff" + b"\x68" * 257) * 400,
        b"\x68\x00" * 50_000,
        b"\x00" * 100_000,
        b"\xff" * 100_000,
    ],
    ids=["starts", "long frames", "starts inside", "short lengths", "zeros", "ones"],
)
def test_a_flood_costs_so_much_for_each_byte_and_leaves_nothing_behind(data):
    buffer = FrameBuffer()
    with Lines() as lines:
        assert buffer.feed(data) == []
    assert lines.count <= 15 * len(data)
    assert buffer.waiting < MAX_FRAME
    assert buffer.dropped + buffer.waiting == len(data)


def test_byte_by_byte_costs_no_more_than_a_few_lines_each():
    data = Mutator(1).corpus[0] * 50
    with Lines() as lines:
        assert try_stream(data[place : place + 1] for place in range(len(data))) == 50
    assert lines.count <= 40 * len(data)


def test_what_is_found_names_the_frame(monkeypatch):
    monkeypatch.setattr("tests.fuzz.target.try_frame", lambda frame: 1 // 0)
    with pytest.raises(ZeroDivisionError) as found:
        fuzz(Mutator(0), 1)
    assert found.value.__notes__ == [f"frame {Mutator(0).frame().hex().upper()}"]


def test_a_good_frame_is_decoded():
    assert {try_frame(frame) for frame in corpus()} >= {"decoded"}
