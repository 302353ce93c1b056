"""Frames that no pile should send, made from those of every table: the same ones for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ykc_server.protocol import BY_NAME, Message
from ykc_server.protocol.fields import Tail, Uint
from ykc_server.protocol.frame import MAX_FRAME
from ykc_server.protocol.message import CRC_SIZE, seal

SAMPLES = Path(__file__).parents[1] / "ykc_server/protocol/frames_sample.json"
CORPUS_SEED = 20_261_123
PER_TABLE = 8
LARGEST_CORE = 255
INTERESTING = bytes((0x00, 0x01, 0x09, 0x0A, 0x0F, 0x10, 0x68, 0x7F, 0x80, 0x99, 0xA0, 0xFE, 0xFF))


def corpus() -> list[bytes]:
    """Return good frames: several of every table, the extremes among them, and those seen in the field."""
    random = Random(CORPUS_SEED)
    frames = [bytes.fromhex(sample["hex"]) for sample in json.loads(SAMPLES.read_text())]
    for name in sorted(BY_NAME):
        for fill in (0x00, 0xFF, None):
            times = PER_TABLE if fill is None else 1
            frames += [_message(BY_NAME[name], random, fill).encode() for _ in range(times)]
    return frames


def _message(cls: type[Message], random: Random, fill: int | None) -> Message:
    def some(size: int) -> bytes:
        return random.randbytes(size) if fill is None else bytes((fill,)) * size

    raw: dict[str, int | bytes] = {}
    for name, field in cls.spec.fields.items():
        if isinstance(field, Tail):
            raw[name] = some(random.randint(0, field.max_items) * field.item_size)
        elif isinstance(field, Uint):
            raw[name] = int.from_bytes(some(field.size), "little")
        else:
            raw[name] = some(field.size)
    return cls(**raw, sequence=some(2))


class Mutator:
    """An endless supply of frames, most of them with a CRC that fits, so that they reach the decoders."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.corpus = corpus()

    def frame(self) -> bytes:
        """Return one frame after one to four changes; what may be wrong with it is length, CRC and every byte."""
        random = self.random
        core = bytearray(random.choice(self.corpus)[2:-CRC_SIZE])
        for _ in range(random.randint(1, 4)):
            self._change(core)
        frame = seal(bytes(core[:LARGEST_CORE]), random.random() < 0.1)
        fate = random.random()
        if fate < 0.1:
            broken = bytearray(frame)
            broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
            return bytes(broken)
        if fate < 0.15:
            return frame[: random.randrange(len(frame))]
        if fate < 0.2:
            return frame + random.randbytes(random.randint(1, 20))
        return frame

    def _change(self, core: bytearray) -> None:
        random = self.random
        size = len(core)
        if not size:
            core += random.randbytes(8)
            return
        place = random.randrange(size)
        match random.randrange(9):
            case 0:
                core[place] ^= 1 << random.randrange(8)
            case 1:
                core[place] = random.choice(INTERESTING)
            case 2:
                end = place + random.randint(1, 8)
                core[place:end] = random.randbytes(end - place)
            case 3:
                del core[place : place + random.randint(1, 16)]
            case 4:
                core[place:place] = random.randbytes(random.randint(1, 16))
            case 5:
                del core[place:]
            case 6:
                core += random.randbytes(random.randint(1, 64))
            case 7 if size > 3:
                core[3] = random.choice(self.corpus)[5]  # another table reads this body
            case _:
                other = random.choice(self.corpus)
                core[place:] = other[random.randrange(len(other)) :]

    def stream(self) -> Iterator[bytes]:
        """Yield what a socket might bring: frames glued, torn, with rubbish and start bytes between them."""
        random = self.random
        data = b"".join(self._piece() for _ in range(random.randint(1, 30)))
        place = 0
        while place < len(data):
            size = random.choice((1, random.randint(1, 16), random.randint(1, 2 * MAX_FRAME), 4_096))
            yield data[place : place + size]
            place += size

    def _piece(self) -> bytes:
        random = self.random
        match random.randrange(8):
            case 0:
                return random.randbytes(random.randint(1, 40))
            case 1:
                return b"\x68" * random.randint(1, 40)
            case 2:
                return bytes((0x68, 0xFF)) * random.randint(1, 40)
            case 3:
                return random.choice(self.corpus)
            case _:
                return self.frame()
