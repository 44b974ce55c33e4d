"""`EAGER`: executions go on in the process that starts, signals or publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from django_workflows import conf
from django_workflows.clock import DatabaseNow
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.events import dispatch as dispatching
from django_workflows.engine.events.dispatch import Dispatched
from django_workflows.engine.inline.driver import InlineDriver
from django_workflows.engine.verbs import apply
from django_workflows.models import Execution, Status

BATCH = 100


class EagerDriver:
    """Gives due executions their turns in the caller's thread, and those of their children."""

    def __init__(self, dispatch: Callable[[str], Dispatched] = dispatching.dispatch) -> None:
        self._dispatch = dispatch

    def drive(self, execution_id: UUID) -> None:
        """Go on with an execution and its descendants until all have finished or wait for a moment or an input."""
        self._go_on({execution_id})

    def dispatch(self, event_id: UUID) -> None:
        """Dispatch stored events, and go on with the executions that got one or were started."""
        if reached := self._dispatch_all(conf.database()):
            self._go_on(reached)

    def _go_on(self, family: set[UUID]) -> None:
        """Turns for these executions, their children, and those that get what they publish."""
        driver = InlineDriver()
        while due := self._due(driver.alias, family):
            progress = [driver.turn(id) for id in due]
            self._carry_out(driver.alias)
            reached = self._dispatch_all(driver.alias)
            if not any(progress) and not reached:
                return
            family.update(due, reached)

    def _dispatch_all(self, alias: str) -> set[UUID]:
        reached: set[UUID] = set()
        while done := self._dispatch(alias):
            reached.update(done.receivers, done.started)
        return reached

    def _due(self, alias: str, family: Iterable[UUID]) -> list[UUID]:
        ids = list(family)
        due = Execution.objects.using(alias).filter(
            wake_at__lte=DatabaseNow(), status__in=(Status.PENDING, Status.WAITING), requested=""
        )
        due = due.order_by("-priority", "wake_at", "created_at")
        mine, children = due.filter(id__in=ids), due.filter(parent_id__in=ids)
        return reading(
            alias,
            lambda _: [*mine.values_list("id", flat=True)[:BATCH], *children.values_list("id", flat=True)[:BATCH]],
        )

    def _carry_out(self, alias: str) -> None:
        requested = Execution.objects.using(alias).filter(requested__gt="")
        if reading(alias, lambda _: requested.exists()):
            apply.carry_out_all(alias)
