"""`make oracle`: a million random charges through the whole pipeline and the oracle, from a seed that is printed."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.pipeline.target import compare

STEP = 5_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="oracle")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    steps = [min(STEP, options.sessions - begin) for begin in range(0, options.sessions, STEP)]
    say(f"seed {options.seed}, {options.sessions} sessions, {options.processes} processes")
    began, done, seen = time.monotonic(), 0, Counter[str]()
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = {
            pool.submit(compare, options.seed + number, count): count for number, count in enumerate(steps)
        }
        for number, future in enumerate(as_completed(waiting), 1):
            found, wrong = future.result()
            if wrong:
                pool.shutdown(cancel_futures=True)
                session, ours, theirs = wrong[0]
                say(json.dumps({"session": session, "product": ours, "oracle": theirs}, indent=1))
                return 1
            done += waiting[future]
            seen.update(found)
            if number % 10 == 0 or number == len(steps):
                told = ", ".join(f"{name} {count}" for name, count in seen.items())
                say(f"{done} sessions equal to the fen, {time.monotonic() - began:.0f} s: {told}")
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
