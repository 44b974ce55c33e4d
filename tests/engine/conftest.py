"""What several tests of the engine need."""

from __future__ import annotations

import pytest

from django_workflows.authoring.registry import registry


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone with it."""
    for name, table in vars(registry).items():
        if isinstance(table, dict):
            monkeypatch.setattr(registry, name, table.copy())
