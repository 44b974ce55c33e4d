"""Django signals of an execution's life, sent after the commit that made them true.

Receivers get `sender` (the model `Execution`), `execution_id` and `workflow`. They run in the worker (or, with
`EAGER`, in the caller's process); an exception in a receiver is logged and harms nothing. Delivery is best effort:
what must not be missed belongs in a step.
"""

from __future__ import annotations

from django.dispatch import Signal

execution_started = Signal()
execution_completed = Signal()
execution_failed = Signal()
execution_cancelled = Signal()
execution_paused = Signal()
