"""The page's example, row by row: what stands in the table is what the database holds."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from django_workflows import Break, Context, Continue, workflow
from django_workflows.models import Execution, StepResult
from django_workflows.testing import Workflows

PAGE = Path(__file__).parents[2] / "docs" / "how-an-execution-moves.md"
ROW = re.compile(r"^\| .+? \| `(\w+)` \| ([\w ]+) \| (\d) \| (\d) \|$", re.MULTILINE)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


def look(workflows: Workflows) -> tuple[str, str, int, int]:
    """The execution as the page's table shows it."""
    execution = Execution.objects.get()
    return execution.status, wake(workflows, execution), execution.claim, execution.inbox


def wake(workflows: Workflows, execution: Execution) -> str:
    if execution.wake_at is None:
        return "NULL"
    if execution.status == "running":
        return "in 30 s"  # a lease of the length that workers give
    ahead = execution.wake_at - workflows.now()
    return "in 2 days" if ahead > timedelta(days=1) else "now" if ahead <= timedelta() else str(ahead)


def test_an_execution_moves_as_the_table_shows(workflows: Workflows) -> None:
    seen = []

    @workflow
    def example(ctx: Context) -> None:
        seen.append(look(workflows))
        ctx.sleep("2 days")
        ctx.wait_for_signal("approved")

    execution = example.start()
    seen.append(look(workflows))
    workflows.run_until_idle()
    seen.append(look(workflows))
    workflows.skip("2 days")
    workflows.run_until_idle()
    seen.append(look(workflows))
    execution.signal("approved")
    seen.append(look(workflows))
    workflows.run_until_idle()
    seen.append(look(workflows))

    page = [
        (status, moment, int(claim), int(inbox))
        for status, moment, claim, inbox in ROW.findall(PAGE.read_text("utf-8"))
    ]
    assert seen == page


def test_positions_are_written_as_the_page_says(workflows: Workflows) -> None:
    @workflow
    def example(ctx: Context) -> None:
        for _ in range(3):
            ctx.uuid()
        ctx.gather(lambda ctx: ctx.uuid(), lambda ctx: ctx.uuid())
        ctx.loop(iterate, 1)

    def iterate(ctx: Context, number: int) -> Continue | Break:
        ctx.uuid()
        ctx.uuid()
        return Continue(number + 1) if number < 7 else Break()

    example.start()
    workflows.run_to_end()
    page = PAGE.read_text("utf-8")
    keys = set(StepResult.objects.values_list("key", flat=True))
    for key in ("3", "4.1.1", "5#7.2"):
        assert f"`{key}`" in page
        assert key in keys
