"""Feedback: written by drivers, answered by staff. Photos come by upload ticket; nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest

from apps.backoffice import scope
from apps.common.ids import Actor, dated_number
from apps.common.time import now
from apps.customers import inbox
from apps.customers.feedback.errors import (
    FeedbackClosed,
    FeedbackNotFound,
    PersonCannotSee,
    PhotoUsed,
    TooManyEntries,
    TooManyFeedbacks,
)
from apps.customers.feedback.models import (
    SEEN_BY_DRIVERS,
    EntryKind,
    Feedback,
    FeedbackEntry,
    FeedbackPhoto,
    FeedbackState,
)
from apps.customers.models import Customer, CustomerState, InboxKind
from apps.files import content, kinds
from apps.files import services as files
from apps.files.models import StoredFile
from apps.files.services import UploadTicket
from apps.sites.models import Station

MOST_A_DAY = 10
MOST_ENTRIES = 50
MOST_PHOTOS = 6
VIEW = "customers.view_feedback"
SHOWN_OF_ANSWER = 200
"""Characters of an answer that its news has; the whole one is in the feedback."""

log = structlog.get_logger(__name__)


def _opens(request: HttpRequest, file: StoredFile) -> bool:
    """Staff who see the feedback see its photos."""
    person: Any = request.user
    rows = scope.narrow(Feedback.objects.filter(entries__photos__file=file), person)
    return bool(person.has_perm(VIEW)) and rows.exists()


PHOTO = kinds.register(kinds.Kind("feedback-photo", content.PICTURES, 5 * kinds.MB, opens=_opens))


# --- Drivers ----------------------------------------------------------------------------------------------


def photo_ticket(*, media_type: str, size: int, name: str, owner: Actor) -> UploadTicket:
    """Let a driver upload a photo. Raises FileEmpty, FileTooLarge, FileTypeRefused, TooManyUploads."""
    return files.issue_ticket(kind=PHOTO, media_type=media_type, size=size, name=name, owner=owner)


def write(
    *,
    customer: Customer,
    kind: str,
    text: str,
    actor: Actor,
    request_key: str,
    station: Station | None = None,
    order_no: str = "",
    connector_code: str = "",
    photos: Sequence[UUID] = (),
    at: datetime | None = None,
) -> Feedback:
    """Begin a matter, once for each `request_key`; `photos` are numbers of uploads of this driver.

    The caller has looked order and gun up. Raises TooManyFeedbacks, PhotoUsed, and what is wrong with an upload:
    FileNotFound, UploadMissing and the errors of `files.store`.
    """
    moment = at or now()
    found = Feedback.objects.filter(customer=customer, request_key=request_key).first()
    if found is not None:
        return found
    _check_day(customer, moment)  # also before photos are kept that nobody would find
    stored = _confirmed(photos, actor)
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        found = Feedback.objects.filter(customer=customer, request_key=request_key).first()
        if found is not None:
            return found
        _check_day(customer, moment)
        feedback = Feedback(
            feedback_no=dated_number("B", at=at),
            customer=customer,
            kind=kind,
            text=text,
            station=station,
            order_no=order_no,
            connector_code=connector_code,
            request_key=request_key,
            created_at=moment,
        )
        feedback.save(force_insert=True)
        _add(feedback, EntryKind.ASKED, actor, moment, text, photos=stored, request_key=request_key)
    log.info("feedback_written", feedback_no=feedback.feedback_no, kind=kind)
    return feedback


def reply(
    *,
    customer: Customer,
    feedback_no: str,
    text: str,
    actor: Actor,
    request_key: str,
    photos: Sequence[UUID] = (),
    at: datetime | None = None,
) -> Feedback:
    """Write once more to a matter of one's own, once for each `request_key`.

    It is to be answered again, a closed one too. Raises FeedbackNotFound, TooManyEntries, and the errors of `write`
    about photos.
    """
    feedback = feedback_of(customer=customer, feedback_no=feedback_no)
    if feedback.entries.filter(request_key=request_key).exists():
        return feedback
    _check_entries(feedback)
    stored = _confirmed(photos, actor)
    with transaction.atomic():
        feedback = Feedback.objects.select_for_update().get(pk=feedback.pk)
        if feedback.entries.filter(request_key=request_key).exists():
            return feedback
        _check_entries(feedback)
        feedback.state, feedback.closed_at = FeedbackState.OPEN, None
        feedback.save()
        _add(feedback, EntryKind.ASKED, actor, at or now(), text, photos=stored, request_key=request_key)
    return feedback


def feedbacks_of(*, customer: Customer) -> QuerySet[Feedback]:
    """Return a customer's matters, newest first."""
    return Feedback.objects.filter(customer=customer).select_related("station").order_by("-id")


def feedback_of(*, customer: Customer, feedback_no: str) -> Feedback:
    """Return a customer's own matter with what drivers see of it. Raises FeedbackNotFound."""
    seen = FeedbackEntry.objects.filter(kind__in=SEEN_BY_DRIVERS).prefetch_related("photos__file")
    found = (
        feedbacks_of(customer=customer)
        .prefetch_related(Prefetch("entries", seen, to_attr="seen"))
        .filter(feedback_no=feedback_no)
        .first()
    )
    if found is None:
        raise FeedbackNotFound
    return found


# --- Staff ------------------------------------------------------------------------------------------------


def answer(*, feedback: Feedback, text: str, actor: Actor, at: datetime | None = None) -> Feedback:
    """Write an answer that the driver reads. Raises FeedbackClosed."""
    moment = at or now()
    with transaction.atomic():
        locked = _lock_open(feedback)
        locked.state, locked.answered_at = FeedbackState.ANSWERED, moment
        locked.save()
        _tell(locked, _add(locked, EntryKind.ANSWERED, actor, moment, text))
    return locked


def assign(
    *, feedback: Feedback, person: Any, actor: Actor, note: str = "", at: datetime | None = None
) -> Feedback:
    """Make somebody of the staff look after it, who sees it. Raises FeedbackClosed, PersonCannotSee."""
    with transaction.atomic():
        locked = _lock_open(feedback)
        sees = scope.narrow(Feedback.objects.filter(pk=locked.pk), person).exists()
        if not (sees and person.is_active and person.has_perm(VIEW)):
            raise PersonCannotSee
        locked.assigned_to = person
        locked.save()
        words = f"{person}: {note}" if note else str(person)
        _add(locked, EntryKind.ASSIGNED, actor, at or now(), words)
    return locked


def add_note(*, feedback: Feedback, text: str, actor: Actor, at: datetime | None = None) -> Feedback:
    """Write down something for the staff alone."""
    _add(feedback, EntryKind.NOTED, actor, at or now(), text)
    return feedback


def close(*, feedback: Feedback, text: str, actor: Actor, at: datetime | None = None) -> Feedback:
    """End a matter with a last word that the driver reads. Raises FeedbackClosed."""
    moment = at or now()
    with transaction.atomic():
        locked = _lock_open(feedback)
        locked.state, locked.closed_at = FeedbackState.CLOSED, moment
        locked.save()
        _tell(locked, _add(locked, EntryKind.CLOSED, actor, moment, text))
    return locked


def _tell(feedback: Feedback, entry: FeedbackEntry) -> None:
    if feedback.customer.state == CustomerState.DELETED:
        return
    words = {"text": entry.text[:SHOWN_OF_ANSWER], "feedback": feedback.feedback_no}
    news = inbox.News(feedback.customer_id, InboxKind.FEEDBACK_ANSWERED, f"answer {entry.pk}", words)
    inbox.post(news, at=entry.at)


def _lock_open(feedback: Feedback) -> Feedback:
    locked = Feedback.objects.select_for_update().get(pk=feedback.pk)
    if locked.state == FeedbackState.CLOSED:
        raise FeedbackClosed
    return locked


def _check_day(customer: Customer, moment: datetime) -> None:
    written = Feedback.objects.filter(customer=customer, created_at__gt=moment - timedelta(days=1))
    if written.count() >= MOST_A_DAY:
        raise TooManyFeedbacks(limit=MOST_A_DAY)


def _check_entries(feedback: Feedback) -> None:
    if feedback.entries.count() >= MOST_ENTRIES:
        raise TooManyEntries


def _confirmed(photos: Sequence[UUID], owner: Actor) -> list[StoredFile]:
    """Take uploads in, outside of any transaction: the storage may be far away."""
    return [files.confirm_upload(number=number, owner=owner) for number in dict.fromkeys(photos)]


def _add(
    feedback: Feedback,
    kind: EntryKind,
    actor: Actor,
    at: datetime,
    text: str,
    *,
    photos: Sequence[StoredFile] = (),
    request_key: str = "",
) -> FeedbackEntry:
    if any(photo.kind != PHOTO.name for photo in photos):
        raise PhotoUsed
    if FeedbackPhoto.objects.filter(file__in=[photo.pk for photo in photos]).exists():
        raise PhotoUsed
    entry = FeedbackEntry.objects.create(
        feedback=feedback,
        kind=kind,
        at=at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=str(actor)[:100],
        text=text,
        request_key=request_key,
    )
    FeedbackPhoto.objects.bulk_create(FeedbackPhoto(entry=entry, file=photo) for photo in photos)
    return entry
