"""`check --deploy` about one-time links."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.checks import check_public_url


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("https://example.org/api", []),
        ("http://example.org/api", ["django_workflows.W016"]),
        ("https://localhost/api", ["django_workflows.W016"]),
        ("/api", ["django_workflows.W016"]),
        (5, []),  # told as a wrong type
    ],
)
def test_links_lead_here_over_tls(settings: Any, url: Any, ids: list[str]) -> None:
    settings.WORKFLOWS = {"PUBLIC_URL": url}
    assert [message.id for message in check_public_url()] == ids
