"""Run one gateway process. Several may share a port: the kernel spreads connections over them."""

import asyncio
import gc
import os
import resource
import signal
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand

if TYPE_CHECKING:
    from ykc_server.server import YkcServer

SPARE_FILES = 256  # files that are not pile connections


class Command(BaseCommand):
    help = "Run a gateway process: piles dial in over TCP and speak YKC. SIGTERM ends it within 3 s."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.YKC_HOST, help="address to listen on (YKC_HOST)")
        parser.add_argument(
            "--port", type=int, default=settings.YKC_PORT, help="TCP port (YKC_PORT), 0 for any"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not uvloop.run(self.serve(options["host"], options["port"])):
            os._exit(0)  # a thread still waits for the database, and the interpreter would wait for it

    async def serve(self, host: str, port: int) -> bool:
        """Serve until SIGTERM or SIGINT. Returns whether everything has ended."""
        from chargeplat.asgi import application
        from ykc_server.gateway import Gateway
        from ykc_server.server import YkcServer

        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        gateway = Gateway()
        server = YkcServer(
            application,
            gateway,
            per_address=settings.YKC_MAX_CONNECTIONS_PER_ADDRESS,
            in_all=allow_files() - SPARE_FILES,
        )
        await gateway.start()
        port = await server.listen(host, port, reuse_port=True)
        if settings.YKC_TLS_PORT:
            await self.listen_with_tls(server, host)
        answer_first()
        self.stdout.write(f"ykc gateway ready on {host}:{port}")
        self.stdout.flush()
        await stop.wait()
        server.close()
        return await gateway.stop()

    async def listen_with_tls(self, server: "YkcServer", host: str) -> None:
        """Listen on the TLS port too; SIGHUP reads the certificate anew, for connections that begin from then on."""
        from ykc_server.server import tls_context

        files = (settings.YKC_TLS_CERTIFICATE, settings.YKC_TLS_KEY)
        context = tls_context(*files)

        def renew() -> None:
            try:
                tls_context(
                    *files
                )  # a certificate without its key would replace the one in use and then be refused
                context.load_cert_chain(files[0], files[1] or None)
            except OSError as error:  # half written, or gone: the old one stays
                self.stderr.write(f"certificate not read: {error}")
            else:
                self.stdout.write("certificate read anew")
            self.stdout.flush()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew)
        port = await server.listen(host, settings.YKC_TLS_PORT, reuse_port=True, tls=context)
        self.stdout.write(f"ykc gateway ready for TLS on {host}:{port}")


def answer_first() -> None:
    """Have the interpreter keep piles' answers from waiting for anything else in this process."""
    # A full collection walks every tracked object and would hold up answers for as long: what is here stays, and
    # connections leave no circles (Session.end).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    # A pool thread that works in Python keeps the interpreter for 5 ms by default, and the loop asks for it anew at
    # every callback: a command that four of them carry to its pile would wait for 20 ms.
    sys.setswitchinterval(0.0005)


def allow_files() -> int:
    """Raise the limit of open files as far as it goes, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
