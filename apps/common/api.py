"""The one shape in which every API error leaves: {"code", "message", "data"}."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, JsonResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from apps.common.errors import DomainError


def error_body(code: str, message: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of an error answer."""
    return {"code": code, "message": message, "data": data or {}}


def error_response(code: str, message: str, status: int, data: dict[str, Any] | None = None) -> JsonResponse:
    """Return an error answer for code that runs outside DRF, such as middleware."""
    return JsonResponse(error_body(code, message, data), status=status)


def exception_handler(error: Exception, _context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into the one error shape; None leaves a defect to Django (500, logged)."""
    set_rollback()
    if isinstance(error, DomainError):
        data = {key: value if isinstance(value, list) else str(value) for key, value in error.data.items()}
        return Response(error_body(error.code, str(error), data), status=error.status)
    if isinstance(error, Http404):
        return Response(error_body("not_found", _("Not found.")), status=404)
    if isinstance(error, PermissionDenied):
        return Response(error_body("forbidden", _("You may not do this.")), status=403)
    if isinstance(error, exceptions.ValidationError):
        return Response(
            error_body("invalid", _("Some fields are not right."), {"fields": error.detail}), status=400
        )
    if isinstance(error, exceptions.APIException):
        headers = {}
        if auth_header := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = auth_header
        if wait_s := getattr(error, "wait", None):
            headers["Retry-After"] = str(int(wait_s))
        code = str(error.get_codes()) if isinstance(error.detail, str) else error.default_code
        return Response(error_body(code, str(error.detail)), status=error.status_code, headers=headers)
    return None
