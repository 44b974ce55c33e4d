"""Why an execution does not move, in words: from its row, its open steps and who is there to take it.

No code of the workflow runs for it. A list of executions costs three queries, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows import codec
from django_workflows.authoring.registry import registry
from django_workflows.authoring.retry import default_retry
from django_workflows.exceptions import WorkflowsError
from django_workflows.inspection.phrases import in_span, span, stamp, until
from django_workflows.inspection.situation import OpenSteps, Situation, first_of, open_steps, situation_of
from django_workflows.models import Execution, Requested, Status, StepKind, StepResult, StepStatus, Worker

# An execution that nobody serves is put off for up to half a minute, so "soon" is as good as due.
_SOON = timedelta(minutes=1)


def why_waiting(execution: Execution, steps: Iterable[StepResult] | None = None, *, reveal: bool = True) -> str:
    """Why this execution does not move; empty when it has finished. `steps`: its open ones, if they are known.

    Without `reveal` reasons are left out, as they may quote an error.
    """
    if steps is None:
        return why_waiting_many([execution], reveal=reveal)[execution.id]
    return explain(execution, situation_of([execution], first_of(execution, steps), reveal=reveal))


def why_waiting_many(executions: Iterable[Execution], *, reveal: bool = True) -> dict[UUID, str]:
    """Why each of these executions does not move, by id."""
    executions = list(executions)
    if all(execution.is_finished for execution in executions):
        return {execution.id: "" for execution in executions}
    situation = situation_of(executions, open_steps(executions), reveal=reveal)
    return {execution.id: explain(execution, situation) for execution in executions}


def explain(execution: Execution, situation: Situation) -> str:
    """The sentence for one execution."""
    if execution.is_finished:
        return ""
    if execution.requested:
        return _requested(execution)
    match execution.status:
        case Status.PAUSED:
            reason = codec.redact_text(execution.reason) if situation.reveal else ""
            return _("paused: %(reason)s") % {"reason": reason} if reason else _("paused")
        case Status.RUNNING:
            return _running(execution, situation)
        case Status.PENDING:
            return _pending(execution, situation)
        case Status.WAITING:
            return _waiting(execution, situation)
    return str(execution.get_status_display())


def _requested(execution: Execution) -> str:
    if execution.status == Status.RUNNING and execution.requested == Requested.PAUSE:
        return _("will pause as soon as the running steps are stored")
    return _("a worker will carry out: %(verb)s") % {"verb": execution.get_requested_display()}


def _running(execution: Execution, situation: Situation) -> str:
    if execution.wake_at is not None and execution.wake_at <= situation.now:
        silence = span(situation.now - execution.wake_at)
        return _("its worker is lost; waiting to be taken over for %(span)s") % {"span": silence}
    found = situation.steps.get(execution.id)
    if found is None or found.step.status != StepStatus.RUNNING:
        return _("running")
    step, values = found.step, {"name": found.step.name, "number": found.step.attempts, "span": ""}
    values["span"] = span(situation.now - (step.started_at or step.created_at))
    if step.attempts > 1:
        return _("running %(name)s for %(span)s, attempt %(number)s") % values
    return _("running %(name)s for %(span)s") % values


def _pending(execution: Execution, situation: Situation) -> str:
    if execution.wake_at is None:
        return _("nothing will wake it: no time is set")
    if execution.wake_at > situation.now + _SOON:
        return _("starts %(moment)s") % {"moment": until(execution.wake_at, situation.now)}
    if problem := _nobody(execution, situation):
        return problem
    if execution.wake_at > situation.now:
        return _("starts %(soon)s") % {"soon": in_span(execution.wake_at - situation.now)}
    return _due(execution.wake_at, situation)


def _due(since: datetime, situation: Situation) -> str:
    if situation.now - since < timedelta(seconds=1):
        return _("due")
    return _("due, no worker has taken it for %(span)s") % {"span": span(situation.now - since)}


def _nobody(execution: Execution, situation: Situation) -> str:
    """Whether it could be taken at all."""
    if not situation.workers:
        return _("due, but no worker is there")
    here = [worker for worker in situation.workers if not worker.queues or execution.queue in worker.queues]
    if not here:
        return _("no worker serves the queue %(queue)s") % {"queue": execution.queue}
    needed = situation.actions.get((execution.workflow, execution.version))
    if needed is not None and any(needed <= set(worker.workflows) for worker in here):
        return ""
    if not any(_serves(worker, execution) for worker in here):
        return _("nobody serves version %(version)s of %(workflow)s") % {
            "version": execution.version,
            "workflow": execution.workflow,
        }
    return ""


def _serves(worker: Worker, execution: Execution) -> bool:
    versions = worker.workflows.get(execution.workflow) if isinstance(worker.workflows, dict) else None
    if isinstance(versions, list | tuple):
        return execution.version in versions
    return bool(versions == execution.version)


def _waiting(execution: Execution, situation: Situation) -> str:
    if execution.wake_at is not None and execution.wake_at <= situation.now:
        return _nobody(execution, situation) or _due(execution.wake_at, situation)
    found = situation.steps.get(execution.id)
    if found is None:
        if execution.wake_at is None:
            return _("nothing will wake it: it has no open step")
        return _("waiting until %(moment)s") % {"moment": until(execution.wake_at, situation.now)}
    text = _wait(execution, found, situation.now)
    more = found.total - (found.of_kind if found.step.kind == StepKind.CHILD else 1)
    return _("%(text)s, and %(count)s more") % {"text": text, "count": more} if more > 0 else text


def _wait(execution: Execution, found: OpenSteps, now: datetime) -> str:
    step = found.step
    values = {"name": step.name, "count": found.of_kind, "until": until(step.deadline, now) if step.deadline else ""}
    match step.kind:
        case StepKind.SLEEP:
            if step.name:
                return _("%(name)s: sleeping until %(until)s") % values
            return _("sleeping until %(until)s") % values
        case StepKind.SIGNAL:
            return _timed(_("waiting for signal %(name)s") % values, step, now)
        case StepKind.EVENT:
            return _timed(_("waiting for event %(name)s") % values, step, now)
        case StepKind.TOKEN:
            return _timed(_("waiting for an answer to the link %(name)s") % values, step, now)
        case StepKind.CHILD:
            text = ngettext("waiting for child %(name)s", "waiting for %(count)s children", found.of_kind)
            return text % values
    return _retry(execution, step, now)


def _timed(text: str, step: StepResult, now: datetime) -> str:
    if step.deadline is not None:
        return _("%(text)s until %(until)s") % {"text": text, "until": until(step.deadline, now)}
    return _("%(text)s since %(moment)s") % {"text": text, "moment": stamp(step.created_at)}


def _retry(execution: Execution, step: StepResult, now: datetime) -> str:
    if step.deadline is None:
        return _("%(name)s has not begun") % {"name": step.name}
    values = {"name": step.name, "number": str(step.attempts + 1), "soon": in_span(step.deadline - now)}
    most = _max_attempts(execution, step)
    if most is not None and most + step.lost > step.attempts:
        values["number"] = f"{step.attempts + 1}/{most + step.lost}"
    return _("%(name)s: retry %(number)s %(soon)s") % values


def _max_attempts(execution: Execution, step: StepResult) -> int | None:
    """As far as the code of this process tells; a label or `using(retry=…)` hides the policy."""
    try:
        definition = registry.step(step.name)
        workflow = registry.in_code(execution.workflow, execution.version)
        if definition is None or workflow is None:
            return None
        return (definition.options.retry or workflow.options.retry or default_retry()).max_attempts
    except (WorkflowsError, TypeError, ValueError):  # unknown here, or settings that the system checks complain about
        return None
