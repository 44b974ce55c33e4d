"""How `python -m tests.proof` has pytest differ from a run of the suite: shares of a part."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`PROOF_SHARE=2/5`: of all tests every fifth, beginning with the second."""
    number, of = map(int, os.environ.get("PROOF_SHARE", "1/1").split("/"))
    mine = items[number - 1 :: of]
    kept = set(mine)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = mine
