"""Common building blocks: no tables, no domain words."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "apps.common"
