"""WebSocket URLs of the driver API."""

from __future__ import annotations

from django.urls import re_path

from apps.miniapp.progress import NoSuchSocket, ProgressConsumer

websocket_urlpatterns = [
    re_path(r"^ws/v1/charges/(?P<order_no>[0-9A-Za-z_-]{1,32})/$", ProgressConsumer.as_asgi()),
    re_path(r"", NoSuchSocket.as_asgi()),
]
