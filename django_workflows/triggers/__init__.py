"""The outside world starting work: events, schedules and webhooks. This is the door for code that manages triggers.

| module | what it is |
|---|---|
| `payloads` | what came from outside, and how it becomes a workflow's input |
| `starting` | the one way from a trigger to an execution |
| `registering` | making, changing and removing triggers, checked |
| `manual` | firing one now, backfilling a period, asking when it is next |
| `syncing` | the triggers of the code as rows |
| `matching` | which triggers want an event, without asking the database for each |
| `dispatch` | published events start what they trigger |
| `schedule_starts` | one moment of a schedule, as what a workflow is started with |
"""

from django_workflows.triggers.manual import Backfilled, backfill, fire, upcoming
from django_workflows.triggers.registering import create, delete, disable, enable, find, update, validate

__all__ = [
    "Backfilled",
    "backfill",
    "create",
    "delete",
    "disable",
    "enable",
    "find",
    "fire",
    "upcoming",
    "update",
    "validate",
]
