"""What the pages' code blocks are executed with."""

from __future__ import annotations

import pytest

from django_workflows.authoring.registry import registry


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page knows only what it registers itself, and that is gone with the test."""
    for name, table in vars(registry).items():
        if isinstance(table, dict):
            monkeypatch.setattr(registry, name, {})
