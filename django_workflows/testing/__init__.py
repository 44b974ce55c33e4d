"""Testing workflows in one process: run them until idle, skip time, replace steps by fakes, read the journal.

The pytest plugin gives the fixtures `workflows` and `workflows_evicting`; elsewhere `with Workflows() as workflows:`
inside a transaction that is rolled back does the same.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_workflows.testing.fakes import Call, Fake
    from django_workflows.testing.harness import Workflows
    from django_workflows.testing.journals import Row
    from django_workflows.testing.replay import export_history, replay_history
    from django_workflows.testing.webhooks import sign_delivery

__all__ = ["Call", "Fake", "Row", "Workflows", "export_history", "replay_history", "sign_delivery"]

_HOMES = {
    "Call": "fakes",
    "Fake": "fakes",
    "Row": "journals",
    "Workflows": "harness",
    "export_history": "replay",
    "replay_history": "replay",
    "sign_delivery": "webhooks",
}


def __getattr__(name: str) -> Any:
    """Import on first use: pytest loads the plugin here before Django is set up, so nothing may need models yet."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
