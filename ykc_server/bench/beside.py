"""Stores rows of telemetry at a pace, beside an echo that stores nothing. Listens on its port to say that it is ready.

python -m ykc_server.bench.beside PORT SCHEMA ROWS_PER_S
"""

from __future__ import annotations

import asyncio
import os
import sys

import django
import uvloop


async def store(port: int, schema: str, rows_per_s: float) -> None:
    from ykc_server.bench.storage import Rows

    rows = await asyncio.to_thread(Rows, schema)
    writer = rows.gateway.telemetry
    await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    run = asyncio.create_task(writer.run())
    began, made = asyncio.get_running_loop().time(), 0
    while not run.done():
        due = int((asyncio.get_running_loop().time() - began) * rows_per_s)
        rows.pack(due - made)
        made = due
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")
    django.setup()
    uvloop.run(store(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
