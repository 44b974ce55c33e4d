"""What happened, in words and in the active language. No payload gets into a title: not everybody may read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows.models import RETIRED_STEPS, EventType, StepKind, StepResult, StepStatus


def of_lifecycle(name: str) -> str:
    """The beginning, an end, or another change of status."""
    known = {
        "created": _("Created"),
        "started": _("Taken by a worker for the first time"),
        "completed": _("Completed"),
        "failed": _("Failed"),
        "cancelled": _("Cancelled"),
        "paused": _("Paused"),
        "resumed": _("Resumed"),
        "lost": _("Its worker died with it"),
        "continued as new": _("Continued as new"),
    }
    return known.get(name) or capfirst(name.replace("_", " "))


def of_event(type: str, name: str, data: Mapping[str, Any]) -> str:
    """A row of the log."""
    if type == EventType.ERROR:
        return _of_error(name, data)
    if type == EventType.OPERATOR:
        by = data.get("by")
        verb = capfirst(name.replace("_", " "))
        return _("%(verb)s, by %(who)s") % {"verb": verb, "who": by} if by else verb
    if type == EventType.LIFECYCLE:
        return of_lifecycle(name)
    if type == EventType.EVENT and data.get("discarded"):
        return _("Event %(name)s was given up: nobody had asked for it before the next generation") % {"name": name}
    return of_message(name, delivered=True) if type == EventType.EVENT else capfirst(name)


def _of_error(name: str, data: Mapping[str, Any]) -> str:
    values = {"name": capfirst(name), "number": data.get("attempt"), "error": error_type(data.get("error"))}
    if data.get("lost"):
        return _("Step %(step)s: attempt %(number)s was lost with its worker") % (values | {"step": name})
    if "attempt" in data:
        return _("Step %(step)s: attempt %(number)s failed: %(error)s") % (values | {"step": name})
    if "hook" in data:
        return _("Step %(step)s is done; what it had called after the commit failed: %(error)s") % {
            "step": name,
            "error": values["error"],
        }
    if "requested" in data:
        return _("%(name)s was asked for and did not apply") % values
    return _("%(name)s: %(error)s") % values if "error" in data else capfirst(name)


def of_message(name: str, *, delivered: bool) -> str:
    """A message in the inbox: an event that matched a wait, or a signal."""
    text = _("Event %(name)s matched") if delivered else _("Signal %(name)s received")
    return text % {"name": name}


def of_beginning(step: StepResult) -> str:
    """A step or a wait begins."""
    texts = {
        StepKind.SLEEP.value: _("Went to sleep: %(name)s") if step.name else _("Went to sleep"),
        StepKind.SIGNAL.value: _("Waits for the signal %(name)s"),
        StepKind.EVENT.value: _("Waits for the event %(name)s"),
        StepKind.TOKEN.value: _("One-time link made: %(name)s"),
        StepKind.CHILD.value: _("Child workflow %(name)s started"),
    }
    return texts.get(step.kind, _("Step %(name)s started")) % {"name": step.name}


def of_outcome(step: StepResult, *, answered: bool) -> str:
    """A step or a wait has its outcome; `answered` tells a message from a timeout."""
    title = _outcome(step, answered=answered) % {"name": step.name or step.kind, "error": error_type(step.error)}
    if step.status == StepStatus.SUPERSEDED:
        return _("%(title)s (done again since)") % {"title": title}
    return title


def _has_failed(step: StepResult) -> bool:
    """Also before it was put aside; rows of earlier versions do not say what they had come to."""
    if step.status in RETIRED_STEPS and not step.former_status:
        return step.error is not None
    return step.outcome == StepStatus.FAILED


def _outcome(step: StepResult, *, answered: bool) -> str:
    failed = _has_failed(step)
    if step.outcome == StepStatus.SKIPPED and step.error is None:
        return _given_up(step)
    match step.kind:
        case StepKind.SLEEP:
            return _("Woke up: %(name)s") if step.name else _("Woke up")
        case StepKind.SIGNAL if not failed:
            return _("Got the signal %(name)s") if answered else _("Waited in vain for the signal %(name)s")
        case StepKind.EVENT if not failed:
            return _("Got the event %(name)s") if answered else _("Waited in vain for the event %(name)s")
        case StepKind.TOKEN:
            return _("One-time link answered: %(name)s") if answered else _("One-time link closed: %(name)s")
        case StepKind.CHILD:
            return _("Child workflow %(name)s failed: %(error)s") if failed else _("Child workflow %(name)s ended")
        case StepKind.SEND:
            return _("Sent %(name)s")
        case StepKind.VALUE:
            return _("Recorded %(name)s")
    if failed:
        return _after(step, _("Step %(name)s failed: %(error)s"))
    if step.outcome == StepStatus.SKIPPED:
        return _after(step, _("Step %(name)s failed and was skipped: %(error)s"))
    return _after(step, _("Step %(name)s succeeded"))


def _given_up(step: StepResult) -> str:
    """Closed without an outcome: it was open when the execution ended, or lost a race."""
    texts = {
        StepKind.STEP.value: _("Step %(name)s was given up"),
        StepKind.SLEEP.value: _("Slept no longer: %(name)s") if step.name else _("Slept no longer"),
        StepKind.SIGNAL.value: _("Waited no longer for the signal %(name)s"),
        StepKind.EVENT.value: _("Waited no longer for the event %(name)s"),
        StepKind.TOKEN.value: _("One-time link closed: %(name)s"),
        StepKind.CHILD.value: _("Waited no longer for the child workflow %(name)s"),
    }
    return texts.get(step.kind, _("%(name)s was given up"))


def _after(step: StepResult, text: str) -> str:
    if step.attempts < 2:
        return text
    attempts = ngettext("after %(count)s attempt", "after %(count)s attempts", step.attempts) % {"count": step.attempts}
    return _("%(text)s, %(attempts)s") % {"text": text, "attempts": attempts}


def error_type(error: Any) -> str:
    """The type of a stored exception; its message may hold what not everybody may read."""
    return str(error.get("type") or _("unknown")) if isinstance(error, Mapping) else _("unknown")
