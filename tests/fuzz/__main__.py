"""`make fuzz`: a million mutated frames, from a seed that is printed."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time

import django

from tests.fuzz.mutator import Mutator

STEP = 50_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")
    os.environ.setdefault(
        "LOG_LEVEL", "ERROR"
    )  # records that cannot be decoded are logged, here by the thousand
    django.setup()
    from tests.fuzz.target import fuzz

    sys.stdout.write(f"seed {options.seed}\n")
    mutator, began, done = Mutator(options.seed), time.monotonic(), 0
    while done < options.frames:
        ends = fuzz(mutator, min(STEP, options.frames - done))
        done += min(STEP, options.frames - done)
        told = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
        sys.stdout.write(f"{done} frames, {time.monotonic() - began:.0f} s: {told}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
