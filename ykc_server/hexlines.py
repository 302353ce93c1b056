"""Frames out of whatever people paste: hex with or without blanks, several frames, log lines with hex in them."""

from __future__ import annotations

import re

from ykc_server.protocol.errors import ProtocolError
from ykc_server.protocol.frame import MIN_FRAME, MIN_LENGTH, check_frame
from ykc_server.protocol.message import START

MOST_CHARACTERS = 200_000
MOST_FRAMES = 200
_RUN = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:0x)?[0-9A-Fa-f]{2}[ \t,:;-]{0,2})*(?:0x)?[0-9A-Fa-f]{2}(?![0-9A-Za-z])"
)
_ONLY_HEX = re.compile(r"(?:0x|[0-9A-Fa-f]|[\s,:;-])*")
_DIGITS = re.compile(r"0x|[^0-9A-Fa-f]")


def frames_in(text: str) -> list[bytes]:
    """Return the frames of a pasted text, in its order; of a broken one what there is of it.

    A text of nothing but hex is taken as a whole, from its first byte. Of other lines the hex from a start byte (68)
    on is taken, if that is long enough for a frame: times and numbers around it are not. At most MOST_FRAMES.
    """
    text = text[:MOST_CHARACTERS].strip()
    if _ONLY_HEX.fullmatch(text):
        digits = _DIGITS.sub("", text)
        found = split_frames(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    else:
        found = [frame for line in text.splitlines() for frame in _frames_of_line(line)]
    return found[:MOST_FRAMES]


def split_frames(data: bytes) -> list[bytes]:
    """Cut bytes into frames by their length bytes. What is no frame stays one piece, up to the next start byte."""
    frames = []
    place = 0
    while place < len(data):
        if data[place] == START:
            length = data[place + 1] if place + 1 < len(data) else 0
            end = place + length + 4 if length >= MIN_LENGTH else len(data)
        else:
            found = data.find(START, place)
            end = found if found > 0 else len(data)
        frames.append(data[place:end])
        place = end
    return frames


def _frames_of_line(line: str) -> list[bytes]:
    best: list[bytes] = []
    for match in _RUN.finditer(line):
        digits = _DIGITS.sub("", match[0])
        data = bytes.fromhex(digits[: len(digits) // 2 * 2])
        starts = [place for place in range(len(data) - MIN_FRAME + 1) if data[place] == START]
        if not starts:
            continue
        # A number beside the frame may hold a 68 as well: a frame that checks is the better beginning.
        frames = split_frames(data[next((place for place in starts if _is_frame(data, place)), starts[0]) :])
        if sum(map(len, frames)) > sum(map(len, best)):
            best = frames
    return best


def _is_frame(data: bytes, place: int) -> bool:
    try:
        return check_frame(data[place : place + data[place + 1] + 4]) != "bad"
    except ProtocolError:
        return False
