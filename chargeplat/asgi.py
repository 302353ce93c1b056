"""One ASGI application for three protocols: http and websocket (daphne) and ykc (the pile gateway)."""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")

import django
from channels.routing import ProtocolTypeRouter, URLRouter

django.setup(set_prefix=False)

from apps.common.http import OneThreadHandler, refuse_unknown_charsets  # noqa: E402 - needs the app registry
from chargeplat.sockets import websocket_urlpatterns  # noqa: E402 - needs the app registry
from ykc_server.consumer import PileConsumer  # noqa: E402 - needs the app registry

application = ProtocolTypeRouter(
    {
        "http": refuse_unknown_charsets(OneThreadHandler()),
        # Drivers' sockets authenticate by token, so no Origin check applies to them; the back office's check their own.
        "websocket": URLRouter(websocket_urlpatterns),
        "ykc": PileConsumer.as_asgi(),
    }
)

# What was imported lives as long as the process: the collector need not look at it again with every few requests.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
