"""A station's pictures: taken in, put in order, thrown away. The files themselves are kept by apps.files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

from django.db import transaction
from django.db.models import Max, Min
from django.http import HttpRequest

from apps.backoffice import scope
from apps.common.ids import Actor
from apps.files import content, kinds, links
from apps.files import services as files
from apps.files.models import StoredFile
from apps.sites.errors import TooManyPictures
from apps.sites.models import Station, StationPicture

MOST = 12
SHOWN_PERMISSION = "sites.view_station"


def _opens(request: HttpRequest, file: StoredFile) -> bool:
    """Staff who see the station see its pictures."""
    person: Any = request.user
    picture = StationPicture.objects.filter(file=file).first()
    return (
        picture is not None
        and person.has_perm(SHOWN_PERMISSION)
        and scope.sees_station(person, picture.station_id)
    )


PICTURE = kinds.register(kinds.Kind("station-picture", content.PICTURES, 5 * kinds.MB, opens=_opens))


def add_picture(
    *, station: Station, file: IO[bytes], name: str, owner: Actor, caption: str = ""
) -> StationPicture:
    """Keep a picture behind the others.

    Raises TooManyPictures, and what is wrong with a file: FileEmpty, FileTooLarge, FileTypeRefused, PictureBroken.
    """
    if station.pictures.count() >= MOST:
        raise TooManyPictures(limit=MOST)
    stored = files.store(kind=PICTURE, file=file, name=name, owner=owner)
    try:
        with transaction.atomic():
            Station.objects.select_for_update().get(pk=station.pk)  # counting and adding is one step
            there = station.pictures.aggregate(last=Max("place"))
            if station.pictures.count() >= MOST:
                raise TooManyPictures(limit=MOST)
            return StationPicture.objects.create(
                station=station, file=stored, caption=caption, place=(there["last"] or 0) + 1
            )
    except TooManyPictures:
        files.discard(stored)
        raise


def remove_picture(*, picture: StationPicture) -> None:
    """Throw a picture away, its file after the row."""
    file = picture.file
    picture.delete()
    files.discard(file)


def put_first(*, picture: StationPicture) -> None:
    """Make a picture the station's cover."""
    with transaction.atomic():
        Station.objects.select_for_update().get(pk=picture.station_id)
        pictures = StationPicture.objects.filter(station_id=picture.station_id)
        first = pictures.aggregate(first=Min("place"))["first"]
        if first == picture.place:
            return
        if first == 0:  # make room: places are not negative
            for place, one in enumerate(pictures.exclude(pk=picture.pk).order_by("place", "id"), 1):
                StationPicture.objects.filter(pk=one.pk).update(place=place)
            first = 1
        picture.place = first - 1
        picture.save(update_fields=["place"])


def picture_links(stations: Iterable[int]) -> dict[int, list[dict[str, str]]]:
    """Return for each station the addresses of its pictures, cover first, that open without a session for a while."""
    found: dict[int, list[dict[str, str]]] = {}
    rows = StationPicture.objects.filter(station_id__in=list(stations)).select_related("file")
    for picture in rows.order_by("place", "id"):
        found.setdefault(picture.station_id, []).append(
            {
                "url": links.signed_path(picture.file),
                "thumbnail_url": links.signed_path(picture.file, thumbnail=True),
                "caption": picture.caption,
            }
        )
    return found
