"""Staff at work: a signed-in client with the permissions that a test names."""

from __future__ import annotations

import itertools

from django.contrib.auth.models import Permission
from django.test import Client

from apps.accounts.models import User
from apps.accounts.signing import SECOND_AT

_numbers = itertools.count(1)
ALWAYS = 2**40
"""A second factor that is never too old."""
TENANT_HOST = "alpha.test"
PLATFORM_HOST = "platform.test"


def a_user(*permissions: str, superuser: bool = False, **fields: object) -> User:
    """A member of staff with permissions such as "orders.view_order"."""
    user = User.objects.create_user(
        username=f"staff{next(_numbers)}",
        password="correct horse",
        is_staff=True,
        is_superuser=superuser,
        **fields,
    )
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return User.objects.get(pk=user.pk)


def signed_in(user: User, host: str = TENANT_HOST) -> Client:
    """A client of that person, on alpha's host, with a second factor given."""
    client = Client(headers={"host": host, "accept-language": "zh-hans"})
    client.force_login(user)
    session = client.session
    session[SECOND_AT] = ALWAYS
    session.save()
    return client


def boss(host: str = TENANT_HOST) -> Client:
    """A client with all rights."""
    return signed_in(a_user(superuser=True), host)


def status_of(client: Client, path: str) -> int:
    """How a file is answered; it is read to its end, which closes it."""
    answer = client.get(path)
    if answer.streaming:
        b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    return answer.status_code


def form_of(client: Client, path: str) -> dict[str, str]:
    """What a browser would send of the form on an object's page."""
    form = client.get(path).context_data["adminform"].form
    sent = {}
    for name, field in form.fields.items():
        value = field.prepare_value(form.get_initial_for_field(field, name))
        if value is True:
            sent[name] = "on"
        elif value is not None and value is not False:
            sent[name] = str(value)
    return sent
