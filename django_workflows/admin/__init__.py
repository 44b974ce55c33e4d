"""The operators' pages in the Django admin.

| module | what it is |
|---|---|
| `executions` | the list and the page of an execution |
| `changelist` | the list's rows, filters and search, at a bounded cost |
| `detail` | what the page shows |
| `origins` | what started an execution from outside, with links |
| `verbs` | pause, resume, cancel, retry and signal: permission, message, audit |
| `records` | read-only lists: steps, events, signals, workers, versions |
| `definitions` | workflows, of which only `enabled` is the operator's |
| `triggers` | triggers: made, changed, enabled, disabled and fired |
| `rendering` | badges, payloads and durations as text and HTML |
| `base` | what all of them share |
"""

from django_workflows.admin.definitions import WorkflowAdmin
from django_workflows.admin.executions import ExecutionAdmin
from django_workflows.admin.records import EventAdmin, SignalAdmin, StepResultAdmin, WorkerAdmin, WorkflowVersionAdmin
from django_workflows.admin.triggers import TriggerAdmin

__all__ = [
    "EventAdmin",
    "ExecutionAdmin",
    "SignalAdmin",
    "StepResultAdmin",
    "TriggerAdmin",
    "WorkerAdmin",
    "WorkflowAdmin",
    "WorkflowVersionAdmin",
]
