"""Every WebSocket URL: the back office's own, then the drivers', which also answer for every other path."""

from apps.miniapp import routing as miniapp
from apps.piles.gunwall import routing as gunwall

websocket_urlpatterns = [*gunwall.websocket_urlpatterns, *miniapp.websocket_urlpatterns]
