"""One-time links that nobody could use, or that others could read on their way."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Warning, register

from django_workflows import conf
from django_workflows.checks.settings import TAG, check_settings

_LOCAL = {"localhost", "127.0.0.1", "::1", ""}


@register(TAG, deploy=True)
def check_public_url(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """`PUBLIC_URL` is where others reach the API, over TLS."""
    if any(message.is_serious() for message in check_settings()):
        return []
    address = urlsplit(conf.public_url())
    if address.scheme == "https" and address.hostname not in _LOCAL:
        return []
    return [
        Warning(
            f"The links of ctx.token() begin with {conf.public_url()!r}, which is not an https address for others.",
            hint='Set WORKFLOWS["PUBLIC_URL"] to where django_workflows.urls is mounted, like "https://example.org/api".',
            id="django_workflows.W016",
        )
    ]
