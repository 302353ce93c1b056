"""URLs of the driver API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "miniapp"
urlpatterns: list[URLPattern] = []
