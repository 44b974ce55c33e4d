"""The settings of the receiver, read when they are needed."""

from __future__ import annotations

from django.conf import settings


def quiet_time() -> str:
    """How long the checks of a commit must be quiet before its summary is written."""
    return str(getattr(settings, "GITHUB_QUIET_TIME", "2 minutes"))


def maintainers() -> list[str]:
    """Who gets the mail about failing checks."""
    return list(getattr(settings, "GITHUB_MAINTAINERS", ["maintainers@example.com"]))
