"""The errors of django-workflows.

WorkflowsError
├── InvalidInput               arguments do not fit the workflow's signature (ValueError)
│   ├── InvalidTrigger         a trigger that cannot work
│   ├── InvalidDefinition      a workflow described as data that cannot work
│   └── NotPermitted           a trigger or a definition does what its maker may not do
├── PayloadError               a value cannot be stored (ValueError)
│   ├── PayloadTooLarge
│   ├── PayloadTooDeep
│   └── Unserializable
├── InvalidExpression          a schedule or pattern that cannot be read (ValueError)
├── DefinitionError            a decorator, option or registration is wrong
│   ├── DuplicateName
│   └── NotInstalled           the app is not in INSTALLED_APPS, or Django is not set up (AttributeError)
├── UnknownWorkflow            nothing is registered under this name (LookupError)
├── WorkflowDisabled           an operator has switched this workflow off
├── ExecutionNotFound          no such execution (LookupError)
├── EventNotFound              no such published event (LookupError)
├── UnknownToken               no link has this secret (LookupError)
├── TokenSpent                 a link was used, or its time is over
├── TransitionError            an operator's verb does not apply in this status
├── KeyConflict                an unfinished execution holds this key
├── ResultTimeout              `result(timeout=…)` passed (TimeoutError)
├── ExecutionFailed            the outcome of somebody else's execution
│   ├── ExecutionCancelled
│   └── ExecutionTimedOut
├── StepError                  raised inside a step to steer its retries
│   ├── NonRetryable
│   └── RetryAfter
├── StepFailed                 a step used up its attempts; raised in the workflow
├── StepTimeout                one attempt took longer than its timeout (TimeoutError)
├── LimitExceeded              a limit of the settings, final
└── ContextMisuse              `ctx` used where it cannot work

ControlFlow (BaseException)    how the engine unwinds a workflow function; never caught by `except Exception`
├── Parked                     the execution waits, pauses or moves on elsewhere
├── Abandoned                  the claim was lost: whatever happens now is ignored
└── NonDeterminism             the code no longer matches the journal
    └── TypesChanged           nor the types of what is stored
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

MOST_ERRORS = 100  # of one input: nobody reads more


def clipped(text: str, most: int) -> str:
    """`text`, or its beginning when it is long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class WorkflowsError(Exception):
    """Base of every error that django-workflows raises on purpose."""


class InvalidInput(WorkflowsError, ValueError):
    """The arguments do not fit the signature; `errors` maps each parameter to its messages."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        """Whoever sends three hundred thousand unknown names must not get as many back: what is told is bounded."""
        self.errors: dict[str, list[str]] = {}
        is_long = len(errors) > MOST_ERRORS + 1  # the one more counts the others
        for name, messages in islice(errors.items(), MOST_ERRORS if is_long else None):
            self.errors.setdefault(clipped(str(name), 200), []).extend(clipped(text, 1_000) for text in messages[:10])
        if is_long:
            self.errors.setdefault("__all__", []).append(f"And {len(errors) - MOST_ERRORS:,} errors more.")
        told = "; ".join(f"{name}: {' '.join(messages)}" for name, messages in self.errors.items())
        super().__init__(clipped(told, 10_000))

    @property
    def problems(self) -> list[dict[str, str]]:
        """Each message with its path; an empty path means the whole."""
        return [{"path": path, "message": text} for path, messages in self.errors.items() for text in messages]


class InvalidTrigger(InvalidInput):
    """A trigger that cannot work; `errors` maps each of its fields to the messages."""


class InvalidDefinition(InvalidInput):
    """A workflow described as data that cannot work; `errors` maps paths ("steps.0.retry") to messages."""


class NotPermitted(InvalidInput):
    """A trigger or a definition does what its maker may not do; `errors` maps fields and paths to messages."""


class PayloadError(WorkflowsError, ValueError):
    """A value cannot be stored as JSON."""


class PayloadTooLarge(PayloadError):
    """The JSON text is larger than `WORKFLOWS["MAX_PAYLOAD_BYTES"]`."""


class PayloadTooDeep(PayloadError):
    """The JSON is nested deeper than `WORKFLOWS["MAX_PAYLOAD_DEPTH"]`."""


class Unserializable(PayloadError):
    """The value has no lossless JSON form."""


class InvalidExpression(WorkflowsError, ValueError):
    """A schedule or a pattern that cannot be read; the message shows the grammar."""

    def __init__(self, value: object, problem: str, grammar: str) -> None:
        shown = repr(value[:80]) if isinstance(value, str) else f"A value of type {type(value).__name__}"
        self.problem = problem
        super().__init__(f"{shown} cannot be read: {problem}. {grammar}")


class DefinitionError(WorkflowsError):
    """A workflow or step is declared in a way that cannot work."""


class DuplicateName(DefinitionError):
    """Two functions are registered under one name."""


class NotInstalled(DefinitionError, AttributeError):
    """The app `django_workflows` is not ready, so nothing can be started."""


class UnknownWorkflow(WorkflowsError, LookupError):
    """No workflow or step is registered under this name."""


class WorkflowDisabled(WorkflowsError):
    """An operator has switched the workflow off: nothing starts it, and what is under way goes on."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        super().__init__(
            f"Workflow {workflow!r} is disabled, so nothing was started. Enable it in the admin, or with "
            f"`manage.py workflows enable {workflow}`."
        )


class ExecutionNotFound(WorkflowsError, LookupError):
    """There is no execution with this id."""


class EventNotFound(WorkflowsError, LookupError):
    """No such published event."""


class UnknownToken(WorkflowsError, LookupError):
    """There is no link with this secret; look whether the address was copied as a whole."""


class TokenSpent(WorkflowsError):
    """This link was used already, its time is over, or nobody waits for it any more."""


class TransitionError(WorkflowsError):
    """A verb does not apply in the execution's status; nothing was changed."""

    def __init__(self, verb: str, status: str, allowed: Collection[str], detail: str = "") -> None:
        self.verb, self.status, self.allowed = verb, status, sorted(allowed)
        verbs = ", ".join(self.allowed) or "none"
        super().__init__(
            f"Cannot {verb} an execution that is {status}{': ' + detail if detail else ''}. Allowed now: {verbs}."
        )


class KeyConflict(WorkflowsError):
    """An unfinished execution of the same workflow holds the key; `execution_id` names it."""

    def __init__(self, workflow: str, key: str, execution_id: object) -> None:
        self.workflow, self.key, self.execution_id = workflow, key, execution_id
        super().__init__(f"Execution {execution_id} of {workflow!r} is unfinished and holds the key {key!r}.")


class ResultTimeout(WorkflowsError, TimeoutError):
    """The execution had not finished when the timeout of `result()` passed; it goes on."""


class ExecutionFailed(WorkflowsError):
    """An execution failed; `error` is what was stored of its exception.

    Raised by `result()` and in a parent that waits for this execution as its child.
    """

    def __init__(self, workflow: str, execution_id: object, error: Mapping[str, Any] | None = None) -> None:
        self.workflow, self.execution_id, self.error = workflow, str(execution_id), dict(error or {})
        super().__init__(self.describe())

    def describe(self) -> str:
        kind, message = self.error.get("type", ""), self.error.get("message", "")
        return f"{self.workflow} {self.execution_id} failed: {kind}: {message}"


class ExecutionCancelled(ExecutionFailed):
    """The execution was cancelled; `error["message"]` is the reason."""

    def describe(self) -> str:
        return f"{self.workflow} {self.execution_id} was cancelled: {self.error.get('message', '')}"


class ExecutionTimedOut(ExecutionFailed):
    """The execution passed its own timeout."""


class StepError(WorkflowsError):
    """Raised inside a step body to steer its retries."""


class NonRetryable(StepError):
    """Do not try this step again."""


class RetryAfter(StepError):
    """Try this step again after `delay`, instead of the policy's back-off.

    A timedelta, seconds, a text ("5 minutes"), or the moment itself as a datetime, as a service may name it.
    """

    def __init__(self, delay: timedelta | float | str | datetime, message: str = "") -> None:
        self.delay = delay
        super().__init__(message or f"Try again {'at' if isinstance(delay, datetime) else 'in'} {delay}.")


class StepFailed(WorkflowsError):
    """A step used up its attempts. `type`, `message`, `traceback` and `attempts` describe the last one.

    The original exception is the `__cause__` on the turn that ran the step; on a replay there is none.
    """

    def __init__(self, step: str, error: Mapping[str, Any], attempts: int, key: str = "") -> None:
        self.step, self.error, self.attempts, self.key = step, dict(error), attempts, key
        super().__init__(f"Step {step!r} failed after {attempts} attempt(s): {self.type}: {self.message}")

    @property
    def type(self) -> str:
        return str(self.error.get("type", ""))

    @property
    def message(self) -> str:
        return str(self.error.get("message", ""))

    @property
    def traceback(self) -> str:
        return str(self.error.get("traceback", ""))


class StepTimeout(WorkflowsError, TimeoutError):
    """One attempt of a step took longer than its timeout. A `def` body may still be running; its result is refused."""


class LimitExceeded(WorkflowsError):
    """A limit of `WORKFLOWS` was passed; trying again cannot help."""


class ContextMisuse(WorkflowsError):
    """`ctx` was used from another thread, inside a step body, or after its execution had ended."""


class ControlFlow(BaseException):
    """Unwinds a workflow function without being an error of it."""


class Parked(ControlFlow):
    """The execution waits and gives its slot back."""


class Abandoned(ControlFlow):
    """The claim was lost or taken away; nothing this turn does counts any more."""


class NonDeterminism(ControlFlow):
    """The code asks for another command than the journal holds at this position."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        self.key, self.expected, self.found = key, expected, found
        super().__init__(
            f"The code no longer matches the journal at position {key}: the journal has {expected}, the code asks for "
            f"{found}. Restore the old code or give the workflow a new version; then resume the execution."
        )


class TypesChanged(NonDeterminism):
    """What is stored, of `what`, does not fit the arguments or the type that the code declares now."""

    def __init__(self, key: str, what: str, problem: str) -> None:
        self.key, self.expected, self.found = key, what, problem
        place = f" at position {key}" if key else ""
        ControlFlow.__init__(
            self,
            f"The code no longer fits {what}{place}: {problem} Restore the old code, let the new one take what is "
            "stored (defaults for new arguments, the old names and types), or give the workflow a new version; then "
            "resume the execution.",
        )
