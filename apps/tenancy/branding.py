"""How a tenant's site looks: its colour as the shades of the theme, its logo."""

from __future__ import annotations

import colorsys
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from apps.tenancy.models import Tenant, TenantLogo

LIGHTNESS = {50: 0.97, 100: 0.93, 200: 0.85, 300: 0.75, 400: 0.62, 800: 0.20, 900: 0.15, 950: 0.09}
"""Of the shades beside those that texts are written in or on."""
CONTRAST = 4.6
"""Least contrast of white with the colour of buttons and links (WCAG AA asks for 4.5)."""
_WHITE = (1.0, 1.0, 1.0)

RGB = tuple[float, float, float]


@cache
def shades(colour: str) -> dict[str, str]:
    """Return the shades 50 to 950 of a colour such as "#0e9f6e".

    From 600 on they are dark enough for white texts on them, and for texts of theirs on white.
    """
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)

    def at(light: float) -> RGB:
        return colorsys.hls_to_rgb(hue, light, saturation)

    readable = min(lightness, 0.55)
    while _contrast(at(readable)) < CONTRAST:
        readable -= 0.01
    found = {weight: at(light) for weight, light in LIGHTNESS.items()}
    found[500] = (red, green, blue)
    found[600] = at(readable)
    found[700] = at(readable * 0.85)
    return {str(weight): _hex(found[weight]) for weight in sorted(found)}


def _contrast(colour: RGB) -> float:
    return 1.05 / (_luminance(colour) + 0.05)


def _luminance(colour: RGB) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _hex(colour: RGB) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)


def colours(request: HttpRequest) -> dict[str, str]:
    """Return the theme's main colour of the site that a request is for."""
    tenant: Any = connection.tenant  # type: ignore[attr-defined]
    colour = getattr(tenant, "colour", "")
    return dict(shades(colour) if colour else settings.BRAND_COLOUR)


def logo(request: HttpRequest) -> str:
    """Return the address of the logo of the site that a request is for, "" for ours."""
    tenant: Any = connection.tenant  # type: ignore[attr-defined]
    return logo_address(tenant) if isinstance(tenant, Tenant) else ""


def logo_address(tenant: Tenant) -> str:
    """Return the address of a tenant's logo, good for ever: another picture has another one. "" for none."""
    return reverse("tenant_logo", args=[tenant.code, tenant.logo_digest]) if tenant.logo_digest else ""


@require_safe
@cache_control(public=True, max_age=31_536_000, immutable=True)
def logo_view(request: HttpRequest, code: str, digest: str) -> HttpResponse:
    """Give a logo; a tenant's site has its own only, the platform's all."""
    here: Any = request.tenant  # type: ignore[attr-defined]
    found = TenantLogo.objects.filter(tenant__code=code, tenant__logo_digest=digest)
    if here.schema_name != settings.PUBLIC_SCHEMA_NAME:
        found = found.filter(tenant=here.pk)
    picture = found.first()
    if picture is None:
        raise Http404
    return HttpResponse(bytes(picture.content), content_type="image/png")
