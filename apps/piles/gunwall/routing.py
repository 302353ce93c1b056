"""WebSocket URLs of the back office."""

from __future__ import annotations

from django.urls import re_path

from apps.piles.gunwall.socket import GunWallConsumer

websocket_urlpatterns = [re_path(r"^ws/admin/guns/(?P<station_id>[0-9]{1,18})/$", GunWallConsumer.as_asgi())]
