"""The carriers of text messages, as in the tests of notifications."""

from tests.apps.notifications.conftest import carriers, world  # noqa: F401
