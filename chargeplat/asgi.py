"""One ASGI application for three protocols: http and websocket (daphne) and ykc (the pile gateway)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()

from apps.miniapp.routing import websocket_urlpatterns  # noqa: E402 - needs the app registry
from ykc_server.consumer import PileConsumer  # noqa: E402 - needs the app registry

application = ProtocolTypeRouter(
    {
        "http": http,
        # Drivers' sockets authenticate by token, not by cookie, so no Origin check applies to them.
        "websocket": URLRouter(websocket_urlpatterns),
        "ykc": PileConsumer.as_asgi(),
    }
)
