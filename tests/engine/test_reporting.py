"""What the log tells while a worker works: attempts with their place, steps, mismatches, a database that only reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management.base import OutputWrapper
from django.db import DatabaseError, connection

from django_workflows import AsyncContext, Context, Retry, codec, conf, step, workflow
from django_workflows.engine.database.outages import refuse_read_only
from django_workflows.management.commands import runworkflows
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows

pytestmark = pytest.mark.django_db

ONCE = Retry(max_attempts=1)
HERE = "tests/engine/test_reporting.py"


@step(name="reporting_parse", retry=Retry(max_attempts=2, initial_interval="1 min"))
def parse(text: str) -> Any:
    return json.loads(text)


@workflow(name="reporting_parsing")
def parsing(ctx: Context, text: str) -> Any:
    return ctx.do(parse, text)


@workflow(name="reporting_parsing_async")
async def parsing_async(ctx: AsyncContext, text: str) -> Any:
    return await ctx.do(parse, text)


@pytest.fixture
def workflows(db: None) -> Iterator[Workflows]:
    with Workflows() as workflows:
        yield workflows


@pytest.mark.parametrize("definition", [parsing, parsing_async], ids=["def", "async def"])
def test_a_failed_attempt_is_told_at_once_with_its_message_and_the_projects_own_line(
    workflows: Workflows, caplog: pytest.LogCaptureFixture, definition: Any
) -> None:
    caplog.set_level(logging.INFO, logger="django_workflows")
    execution = definition.start("{")
    workflows.run_until_idle()

    [line] = [record.getMessage() for record in caplog.records if "attempt 1" in record.getMessage()]
    assert str(execution.id) in line
    assert "step reporting_parse, attempt 1 failed: JSONDecodeError: Expecting property name" in line
    line_number = parse.fn.__code__.co_firstlineno + 2
    assert f"({HERE}:{line_number} in parse); again in " in line

    workflows.skip("2 min")
    workflows.run_until_idle()
    [line] = [record.getMessage() for record in caplog.records if "attempt 2" in record.getMessage()]
    assert line.endswith("; it was the last")


def test_each_step_is_told_to_who_asks_for_more(workflows: Workflows, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="django_workflows")
    parsing.start("[]")
    workflows.run_until_idle()

    [line] = [record.getMessage() for record in caplog.records if "reporting_parse" in record.getMessage()]
    assert "reporting_parse succeeded in " in line


def test_a_step_is_not_told_otherwise(workflows: Workflows, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="django_workflows")
    parsing.start("[]")
    workflows.run_until_idle()
    assert not [record for record in caplog.records if record.name == "django_workflows"]


def test_what_is_redacted_is_not_told(workflows: Workflows, caplog: pytest.LogCaptureFixture) -> None:
    @step(retry=ONCE)
    def call() -> None:
        raise ValueError("password=hunter2")

    @workflow(name="reporting_redacted")
    def calling(ctx: Context) -> None:
        ctx.do(call)

    caplog.set_level(logging.INFO, logger="django_workflows")
    calling.start()
    workflows.run_until_idle()
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


def changed() -> UUID:
    """An execution whose code has changed since its first step."""
    first: list[bool] = []

    @workflow(name="reporting_changed")
    def changing(ctx: Context) -> None:
        ctx.do("old" if not first else "new", int)
        first.append(True)
        ctx.sleep("1 min")

    return changing.start().id


def mismatches(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if (text := record.getMessage()).startswith("mismatch")]


def test_a_mismatch_is_told_when_it_is_met_and_with_its_place(
    workflows: Workflows, caplog: pytest.LogCaptureFixture
) -> None:
    execution = changed()
    workflows.run_until_idle()
    workflows.skip("2 min")
    workflows.run_until_idle()

    [line] = mismatches(caplog)
    assert str(execution) in line
    assert "the journal has step 'old', the code asks for step 'new'" in line
    assert f"({HERE}:" in line
    assert line.endswith("left to other workers, looked at again in 30 s")


def test_under_autoreload_and_debug_it_pauses_after_seconds(
    workflows: Workflows, caplog: pytest.LogCaptureFixture, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    monkeypatch.setenv(conf.RELOADING, "1")
    execution = changed()
    workflows.run_until_idle()
    workflows.skip("2 min")
    workflows.run_until_idle()
    workflows.skip("2 s")
    workflows.run_until_idle()

    assert Execution.objects.get(pk=execution).status == Status.PAUSED
    assert [line.rpartition("; ")[2] for line in mismatches(caplog)] == [
        "left to other workers, looked at again in 1 s",
        "paused",
    ]


def test_what_a_project_has_set_holds_under_autoreload_too(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    monkeypatch.setenv(conf.RELOADING, "1")
    settings.WORKFLOWS = {"MISMATCH_DELAY": 7, "MISMATCH_RELEASES": 5}
    assert (conf.mismatch_delay(), conf.mismatch_releases()) == (7, 5)


def test_the_place_of_an_error_is_the_innermost_line_that_the_project_has_written() -> None:
    def own() -> None:
        json.loads("{")

    with pytest.raises(ValueError, match="Expecting") as caught:
        own()
    assert codec.place_of(caught.value) == f"{HERE}:{own.__code__.co_firstlineno + 1} in own"
    assert codec.place_of(ValueError("never raised")) == ""


# where the lines go


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """As in a project that configures nothing. Loggers remember what a level lets pass until `setLevel()` is called."""
    logger = logging.getLogger("django_workflows")
    for name, value in {"handlers": [], "propagate": True}.items():
        monkeypatch.setattr(logger, name, value)
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


def test_a_handler_at_the_root_gets_the_lines_and_no_other_is_added(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere, console = StringIO(), OutputWrapper(StringIO())
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(everywhere)])

    runworkflows._log_to(console, 1)
    logger.info("failed     fulfil")

    assert everywhere.getvalue() == "failed     fulfil\n"
    assert console.getvalue() == ""


def test_without_any_handler_the_lines_go_to_the_terminal(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = OutputWrapper(StringIO())
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    runworkflows._log_to(console, 1)
    logger.info("failed     fulfil")

    assert console.getvalue().endswith(" failed     fulfil\n")


@pytest.mark.parametrize(
    ("verbosity", "level"), [(0, logging.WARNING), (1, logging.ERROR), (2, logging.DEBUG), (3, logging.DEBUG)]
)
def test_a_level_of_the_project_holds_until_somebody_asks_for_another(
    logger: logging.Logger, verbosity: int, level: int
) -> None:
    logger.setLevel(logging.ERROR)
    runworkflows._log_to(OutputWrapper(StringIO()), verbosity)
    assert logger.level == level


# a database that only reads


def test_a_database_that_answers_and_cannot_be_written_is_refused() -> None:
    refuse_read_only("default", uuid4())
    on, off = (
        ("PRAGMA query_only = ON", "PRAGMA query_only = OFF")
        if connection.vendor == "sqlite"
        else ("SET transaction_read_only = on", "")
    )
    with connection.cursor() as cursor:
        cursor.execute(on)
    try:
        with pytest.raises(DatabaseError, match=r"read-?\s?only"):
            refuse_read_only("default", uuid4())
    finally:
        if off:
            with connection.cursor() as cursor:
                cursor.execute(off)
