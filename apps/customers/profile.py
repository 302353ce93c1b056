"""What drivers say of themselves: name, language, size of texts, picture."""

from __future__ import annotations

import uuid

from django.db import transaction

from apps.common.ids import Actor
from apps.customers.kinds import AVATAR
from apps.customers.models import Customer
from apps.files import links, services
from apps.files.errors import FileNotFound
from apps.files.services import UploadTicket


def change(*, customer: Customer, nickname: str, language: str, elder_mode: bool) -> Customer:
    """Keep what a driver says of themselves."""
    customer.nickname = nickname.strip()
    customer.language = language
    customer.elder_mode = elder_mode
    customer.save(update_fields=["nickname", "language", "elder_mode", "updated_at"])
    return customer


def avatar_ticket(*, customer: Customer, media_type: str, size: int) -> UploadTicket:
    """Let a driver upload a picture (at most 5 MB).

    Raises FileEmpty, FileTooLarge, FileTypeRefused, TooManyUploads.
    """
    return services.issue_ticket(
        kind=AVATAR, media_type=media_type, size=size, name="avatar", owner=_owner(customer)
    )


def set_avatar(*, customer: Customer, number: uuid.UUID) -> Customer:
    """Make an uploaded picture the driver's; the one before goes. Done twice it is still done.

    Raises FileNotFound, also for a file of another kind, UploadMissing, FileTypeRefused, FileTooLarge, PictureBroken.
    """
    file = services.confirm_upload(number=number, owner=_owner(customer))
    if file.kind != AVATAR.name:
        raise FileNotFound
    with transaction.atomic():
        locked = Customer.objects.select_for_update(of=("self",)).select_related("avatar").get(pk=customer.pk)
        before = locked.avatar
        locked.avatar = file
        locked.save(update_fields=["avatar", "updated_at"])
    if before is not None and before.pk != file.pk:
        services.discard(before)
    return locked


def avatar_address(customer: Customer) -> str:
    """Return a path that shows the driver's picture, small and without metadata, for two hours; "" for none."""
    return links.signed_path(customer.avatar, thumbnail=True) if customer.avatar else ""


def _owner(customer: Customer) -> Actor:
    return Actor("customer", str(customer.pk))
