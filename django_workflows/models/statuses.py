"""The status of an execution: one enum, one transition table, one function that applies it."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from django_workflows.exceptions import TransitionError


class Status(TextChoices):
    PENDING = "pending", _("pending")  # ready, or delayed until wake_at; nobody has it
    RUNNING = "running", _("running")  # a worker holds the claim until wake_at
    WAITING = "waiting", _("waiting")  # parked at a sleep, back-off, signal, event or child
    PAUSED = "paused", _("paused")  # an operator, an error policy or the engine stopped it; only resume goes on
    ROLLING_BACK = "rolling_back", _("rolling back")  # compensations are under way
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
UNFINISHED = frozenset(Status) - FINISHED

P, R, W, S = Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED

# verb → status before → status after. A running execution that is paused or cancelled keeps running (pause) or goes
# back to pending (cancel, also by itself or because it came too late) with the verb in `requested`; its next commit, or
# a worker, carries the verb out.
TRANSITIONS: dict[str, dict[Status, Status]] = {
    # the engine's
    "claim": {P: R, W: R, R: R},
    "suspend": {R: W},
    "release": {R: P},
    "complete": {R: Status.COMPLETED},
    "fail": {R: Status.FAILED},
    "continue as new": {R: P},
    "cancel itself": {R: P},
    "park": {R: S},
    # the operator's
    "pause": {P: S, W: S, R: R},
    "resume": {S: P},
    "cancel": {P: Status.CANCELLED, W: Status.CANCELLED, S: Status.CANCELLED, R: P},
    "retry": {Status.FAILED: P},
    "signal": {P: P, W: W, R: R, S: S},
}

OPERATOR_VERBS = ("pause", "resume", "cancel", "retry", "signal")


class Requested(TextChoices):
    """What an operator wants of an execution; set by `operations` or by plain SQL, carried out by a worker."""

    NOTHING = "", _("nothing")
    PAUSE = "pause", _("pause")
    RESUME = "resume", _("resume")
    CANCEL = "cancel", _("cancel")
    RETRY = "retry", _("retry")


# verb → what is taken back by it, as long as it is only requested; the status stays.
TAKES_BACK: dict[str, Requested] = {"resume": Requested.PAUSE, "pause": Requested.RESUME}


def allowed_verbs(status: str, requested: str = "") -> list[str]:
    """The operator's verbs that apply in this status, while `requested` is asked for and not carried out."""
    if _is_ending(status, requested):
        return ["cancel", "signal"]
    verbs = (verb for verb in OPERATOR_VERBS if Status(status) in TRANSITIONS[verb])
    return sorted({*verbs, *(verb for verb in TAKES_BACK if takes_back(verb, status, requested))}, key=_place)


def transition(verb: str, status: str, requested: str = "") -> Status:
    """The status after `verb`, or `TransitionError` naming the status and the verbs that apply."""
    if _is_ending(status, requested) and verb not in {"cancel", "signal"}:
        raise TransitionError(verb, status, allowed_verbs(status, requested), "its cancellation is under way")
    if takes_back(verb, status, requested):
        return Status(status)
    try:
        return TRANSITIONS[verb][Status(status)]
    except KeyError:
        raise TransitionError(verb, status, allowed_verbs(status, requested)) from None


def takes_back(verb: str, status: str, requested: str) -> bool:
    """Whether `verb` does no more than to take back what was requested."""
    return TAKES_BACK.get(verb) == requested and Status(status) in TRANSITIONS[requested]


def _is_ending(status: str, requested: str) -> bool:
    return requested == Requested.CANCEL and status not in FINISHED


def _place(verb: str) -> int:
    return OPERATOR_VERBS.index(verb)
