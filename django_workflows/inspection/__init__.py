"""The read side: what happened to an execution, why it waits, how many there are. Nothing here changes anything.

| module | what it is |
|---|---|
| `timeline` | everything that happened to one execution, in order |
| `titles` | the same in words |
| `why` | why an execution does not move, from its row and its open steps |
| `surroundings` | what that depends on: the time, open steps, workers |
| `lookup` | one execution by what people have at hand |
| `counts` | how many executions in which status, and how far each queue is behind |
| `metrics` | numbers for dashboards: rates, latencies, backlogs |
| `spans` | an execution as bars in a drawing |
| `feed` | everything that happens, to be followed and taken up again; `sources` is where it reads from |
| `sizes` | reading rows whose columns may be large |
| `instants` | comparing stored times, also where they are texts |
| `doctor` | what is stuck or broken, and what to do; `symptoms` are its queries, `staffing` who is there to work |
"""

from django_workflows.inspection.counts import Backlog, Count, backlogs, count_by_status, queues
from django_workflows.inspection.lookup import AmbiguousId, find, id_range
from django_workflows.inspection.timeline import HistoryItem, door, history, recent, timeline, timeline_page
from django_workflows.inspection.why import why_waiting, why_waiting_many

__all__ = [
    "AmbiguousId",
    "Backlog",
    "Count",
    "HistoryItem",
    "backlogs",
    "count_by_status",
    "door",
    "find",
    "history",
    "id_range",
    "queues",
    "recent",
    "timeline",
    "timeline_page",
    "why_waiting",
    "why_waiting_many",
]
