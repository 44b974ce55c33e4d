"""The client for other services: start, steer and look at workflows of a project over HTTP. Needs no Django settings.

| module | what it is |
|---|---|
| `calls` | what can be asked, one function for each method: pure |
| `exchange` | a call from its first attempt to its last: decisions only |
| `clients` | the two that send and wait: `Client` and `AsyncClient` |
| `methods` | the calls as methods of both |
| `results` | what comes back |
| `errors` | what goes wrong |
"""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("httpx") is None:
    raise ImportError('django_workflows.remote needs httpx: pip install "django-workflows[remote]".')

from django_workflows.remote.clients import AsyncClient, Client
from django_workflows.remote.errors import (
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PermissionMissing,
    Problem,
    Refused,
    RemoteError,
    ServerFault,
    Unavailable,
)
from django_workflows.remote.exchange import Attempts
from django_workflows.remote.results import (
    Event,
    Execution,
    HistoryItem,
    Metrics,
    Page,
    Trigger,
    Workflow,
)

__all__ = [
    "AsyncClient",
    "Attempts",
    "Client",
    "Conflict",
    "Event",
    "Execution",
    "HistoryItem",
    "InvalidRequest",
    "Metrics",
    "NotAuthenticated",
    "NotFound",
    "Page",
    "PermissionMissing",
    "Problem",
    "Refused",
    "RemoteError",
    "ServerFault",
    "Trigger",
    "Unavailable",
    "Workflow",
]
