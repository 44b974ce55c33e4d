"""What goes wrong between a service and the project that it calls.

RemoteError
├── Unavailable                no answer, or 503, after all attempts; what was asked may have been done or not
└── Refused                    the server's problem details: `problem`
    ├── InvalidRequest         400, 413, 415, 422
    ├── NotAuthenticated       401, or 403 of the type "not-authenticated"
    ├── PermissionMissing      403
    ├── NotFound               404
    ├── Conflict               409
    └── ServerFault            5xx
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_workflows.exceptions import WorkflowsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The server's problem details. `type` is for programs, `detail` for people; `errors` maps fields to messages."""

    status: int
    type: str = ""
    detail: str = ""
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int) -> Problem:
        """Out of the document as it was answered; what is no such document is only a status."""
        if not isinstance(document, Mapping):
            return cls(status=status)
        errors: dict[str, list[str]] = {}
        for error in document.get("errors") or []:
            errors.setdefault(str(error.get("field", "")), []).append(str(error.get("message", "")))
        known = {"type", "title", "status", "detail", "errors"}
        return cls(
            status=int(document.get("status", status)),
            type=str(document.get("type", "")).rpartition(":")[2],
            detail=str(document.get("detail", "")),
            errors=errors,
            extra={name: value for name, value in document.items() if name not in known},
        )


class RemoteError(WorkflowsError):
    """Base of what the client raises."""


class Unavailable(RemoteError):
    """Nobody answered in time, or only "later". Asking again with the same idempotency key does nothing twice."""

    def __init__(self, method: str, attempts: int, last: str, key: str | None) -> None:
        self.method, self.attempts, self.idempotency_key = method, attempts, key
        hint = f" Ask again with idempotency_key={key!r}." if key is not None else ""
        super().__init__(f"{method} got no answer in {attempts} attempt(s): {last}.{hint}")


class Refused(RemoteError):
    """The server said no, and says why."""

    def __init__(self, method: str, problem: Problem) -> None:
        self.method, self.problem = method, problem
        super().__init__(f"{method}: {problem.detail or 'refused'} (status {problem.status})")


class InvalidRequest(Refused):
    """What was asked is wrong; `problem.errors` says where."""


class NotAuthenticated(Refused):
    """The server does not know who asks: give the client `auth` or `headers`."""


class PermissionMissing(Refused):
    """The user behind the credentials may not do this."""


class NotFound(Refused):
    """It does not exist, or not for this user."""


class Conflict(Refused):
    """The present state does not allow it; `problem.extra` may hold "execution_status" and "allowed"."""


class ServerFault(Refused):
    """Something is wrong on the other side."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: PermissionMissing,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
}


def refusal(method: str, problem: Problem) -> Refused:
    """The error for a problem."""
    if problem.type == "not-authenticated":  # 403 where the project's first way to log in has no challenge
        return NotAuthenticated(method, problem)
    kind = _BY_STATUS.get(problem.status, ServerFault if problem.status >= 500 else Refused)
    return kind(method, problem)
