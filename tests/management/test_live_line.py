"""`runworkflows --drain` on a terminal: a live line, which the lines of events do not run into."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management.base import OutputWrapper

from django_workflows.management.commands import runworkflows
from django_workflows.management.commands.runworkflows import CLEAR, Progress

TOTALS = {"completed": 3.0, "failed": 1.0, "parked": 0.0, "steps": 7.0, "held": 2.0}


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """That of a project which configures none. Loggers remember what a level lets pass until `setLevel()` is called."""
    logger = logging.getLogger("django_workflows")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


def test_events_take_the_live_line_away(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(runworkflows, "PROGRESS_SECONDS", 0.0)
    stream = OutputWrapper(StringIO())
    progress = Progress(stream, live=True)

    runworkflows._log_to(stream, 1, over=CLEAR)
    progress.show(TOTALS)
    logger.info("failed     fulfil")
    progress.show(TOTALS)
    progress.finish(TOTALS, summary=True)

    event, summary = stream.getvalue().split("\n")[:2]
    assert event.startswith(f"{CLEAR}3 completed, 1 failed, 0 parked, 7 steps, 2 in progress{CLEAR}")
    assert event.endswith(" failed     fulfil")
    assert summary.rpartition(CLEAR)[2].startswith("3 completed, 1 failed, 0 parked, 7 steps in ")


def test_without_a_terminal_there_is_only_the_summary() -> None:
    stream = OutputWrapper(StringIO())
    progress = Progress(stream, live=False)
    progress.show(TOTALS)
    progress.finish(TOTALS, summary=True)
    assert stream.getvalue().startswith("3 completed, 1 failed")
