"""A call from its first attempt to its last. Decides only: who runs the generator sends, receives and waits."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from django_workflows.remote.calls import Call, Settle
from django_workflows.remote.errors import Conflict, Problem, Unavailable, refusal

R = TypeVar("R")

# Nothing was done, or it can be done again: by its key, by its nature, or because it is looked up afterwards.
LATER = frozenset({408, 425, 429, 502, 503, 504})
RPC = "rpc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How often one call is attempted, and how long is waited in between: twice as long each time, less by chance."""

    most: int = 4
    first_pause: timedelta = timedelta(milliseconds=200)
    longest_pause: timedelta = timedelta(seconds=5)

    def pause(self, attempt: int, asked_for: float = 0.0) -> float:
        """Seconds after this attempt; not less than the server asked for, up to the longest."""
        longest = self.longest_pause.total_seconds()
        most = min(self.first_pause.total_seconds() * 2 ** (attempt - 1), longest)
        return max(random.uniform(most / 2, most), min(asked_for, longest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A request; the path is relative to the API's address."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """No answer came: nobody knows whether the request arrived."""

    reason: str


Step = Send | Pause
Answer = Received | Lost | None  # None after a pause


def exchange(call: Call[R], attempts: Attempts) -> Generator[Step, Answer, R]:
    """The result of a call. Raises `Refused` and `Unavailable`."""
    request, last, retried = _request(call), "", False
    for attempt in range(1, attempts.most + 1):
        answer = yield request
        assert answer is not None
        last = _why_later(answer)
        if not last:
            assert isinstance(answer, Received)
            return (yield from _outcome(call, answer, retried))
        retried = True
        if attempt < attempts.most:
            yield Pause(seconds=attempts.pause(attempt, _asked_for(answer)))
    raise Unavailable(call.method, attempts.most, last, call.key)


def _request(call: Call[Any]) -> Send:
    # the key among the parameters, since a header takes ASCII only
    params = dict(call.params) if call.key is None else {**call.params, "idempotency_key": call.key}
    body = {"jsonrpc": "2.0", "id": 1, "method": call.method, "params": params}
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return Send(method="POST", path=RPC, body=msgspec.json.encode(body), headers=headers)


def _why_later(answer: Received | Lost) -> str:
    """Why to try again; empty when the answer is final."""
    if isinstance(answer, Lost):
        return answer.reason
    if answer.status in LATER:
        return f"status {answer.status}"
    problem = _problem(answer)
    return f"status {problem.status}: {problem.detail}" if problem is not None and problem.status in LATER else ""


def _asked_for(answer: Received | Lost) -> float:
    text = answer.headers.get("retry-after", "") if isinstance(answer, Received) else ""
    return float(text) if text.isdecimal() else 0.0


def _outcome(call: Call[R], answer: Received, retried: bool) -> Generator[Step, Answer, R]:
    """What an answer means. After a lost one, "does not apply" may only say that an earlier attempt has done it."""
    problem = _problem(answer)
    error = None if problem is None else refusal(call.method, problem)
    document = None if problem is not None else _member(answer, "result")
    if retried and call.settle is not None and (document is False or isinstance(error, Conflict)):
        seen = yield from _look(call.settle)
        if seen is not None:
            return _typed(call, seen.document)
    if error is not None:
        raise error
    return _typed(call, document)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What shows that an earlier attempt has done it."""

    document: Any


def _look(settle: Settle) -> Generator[Step, Answer, _Seen | None]:
    answer = yield Send(method="GET", path=settle.path, headers={"Accept": "application/json"})
    if not isinstance(answer, Received) or answer.status not in {200, 404}:
        return None
    document = _parsed(answer) if answer.status == 200 else None
    return _Seen(document) if settle.done(document) else None


def _typed(call: Call[R], document: Any) -> R:
    """The result as its type; for a yes or no, a document that was looked up is a yes."""
    if call.type is bool:
        document = document is not False
    try:
        # numbers stand for durations, which the strict mode does not take
        result: R = msgspec.convert(document, call.type, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(call.method, Problem(status=500, detail=f"The answer has an unknown form: {error}")) from None
    return result


def _problem(answer: Received) -> Problem | None:
    """The server's problem: of the request, or of the call in it."""
    document = _parsed(answer)
    if answer.status != 200:
        problem = Problem.of(document, answer.status)
        return problem if problem.detail else Problem(status=answer.status, detail=_strange(answer))
    if not isinstance(document, dict) or not {"result", "error"} & document.keys():
        return Problem(status=500, detail=_strange(answer))
    if (error := document.get("error")) is None:
        return None
    data = error.get("data")
    status = data.get("status", 500) if isinstance(data, dict) else 400 if error.get("code", 0) > -32603 else 500
    told = Problem.of(data, status)
    return told if told.detail else Problem(status=status, detail=str(error.get("message", "")))


def _strange(answer: Received) -> str:
    """It was somebody else who answered."""
    if place := answer.headers.get("location"):
        return f"The address has moved to {place}: give the client that of the API there"
    return "This is no answer of django-workflows; is the address that of its API, like https://example.com/api/?"


def _member(answer: Received, name: str) -> Any:
    document = _parsed(answer)
    return document.get(name) if isinstance(document, dict) else None


def _parsed(answer: Received) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
