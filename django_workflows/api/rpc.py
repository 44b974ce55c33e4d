"""JSON-RPC 2.0: requests, batches, notifications and their errors."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.core.signals import got_request_exception
from django.utils.translation import gettext as _

from django_workflows import clock, conf
from django_workflows.api.access import Access
from django_workflows.api.methods import METHODS, Call, Method
from django_workflows.api.problems import Problem, problem_of
from django_workflows.authoring.names import numbered_key
from django_workflows.exceptions import clipped

logger = logging.getLogger("django_workflows")

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
CODES = {400: INVALID_PARAMS, 401: -32001, 403: -32003, 404: -32004, 409: -32009, 413: -32013, 503: -32053}

LONGEST_ID = 1_000  # it comes back with the answer
MEMBERS = {"jsonrpc", "method", "params", "id"}


class RpcError(Exception):
    """An error as the protocol knows it."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and the Idempotency-Key of the HTTP request."""

    access: Access
    key: str | None


def answer(caller: Caller, body: Any) -> Any:
    """The answer to a request or a batch; None when there were only notifications."""
    if not isinstance(body, list):
        return _answer_one(caller, body, caller.key)
    most = conf.api_max_batch()
    if not 1 <= len(body) <= most:
        return failure(None, RpcError(INVALID_REQUEST, _("A batch has 1 to %(most)s calls.") % {"most": most}))
    keys = [None if caller.key is None else numbered_key(caller.key, number) for number in range(len(body))]
    budget = Budget(clock.monotonic() + conf.api_batch_seconds(), conf.api_max_page_bytes())
    answers = [budget.answer(caller, one, key) for one, key in zip(body, keys, strict=True)]
    return [one for one in answers if one is not None] or None


@dataclass(slots=True)
class Budget:
    """How long a batch may take, and how much it may answer. What does not begin within them is not carried out, and
    told so, also where nothing else would be answered.
    """

    until: float
    bytes_left: int

    def answer(self, caller: Caller, request: Any, key: str | None) -> dict[str, Any] | None:
        if clock.monotonic() >= self.until:
            return self._refuse(request, _("The batch took too long. This call was not carried out: send it again."))
        if self.bytes_left <= 0:
            return self._refuse(request, _("The answers grew too large. This call was not carried out: send it again."))
        found = _answer_one(caller, request, key)
        self.bytes_left -= 0 if found is None else len(msgspec.json.encode(found, enc_hook=str))
        return found

    def _refuse(self, request: Any, detail: str) -> dict[str, Any]:
        problem = Problem(status=503, type="busy", detail=detail)
        id = request.get("id") if isinstance(request, Mapping) else None
        return failure(id if _is_id(id) else None, RpcError(CODES[503], detail, problem.document()))


def _answer_one(caller: Caller, request: Any, key: str | None) -> dict[str, Any] | None:
    """A request without an id is a notification: nothing answers it, whatever comes of it."""
    id = request.get("id") if isinstance(request, Mapping) else None
    has_id = not isinstance(request, Mapping) or "id" in request
    if not _is_id(id):
        detail = _("An id is a number, or a text of at most %(most)s characters.") % {"most": LONGEST_ID}
        return failure(None, RpcError(INVALID_REQUEST, detail))
    try:
        method, params = _read(request)
    except RpcError as error:
        # what is no request cannot be told from one that wants an answer
        return failure(id, error) if has_id or error.code == INVALID_REQUEST else None
    try:
        result = method.act(Call(access=caller.access, params=params, header_key=key))
    except Exception as error:
        return failure(id, _error_of(error)) if has_id else None
    return {"jsonrpc": "2.0", "result": result, "id": id} if has_id else None


def _is_id(id: Any) -> bool:
    return not isinstance(id, bool) and isinstance(id, str | int | float | None) and len(str(id)) <= LONGEST_ID


def _read(request: Any) -> tuple[Method, dict[str, Any]]:
    """The method and its parameters by name. Raises `RpcError`."""
    if not isinstance(request, Mapping) or request.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, _('A request is an object with "jsonrpc": "2.0".'))
    name, params = request.get("method"), request.get("params", {})
    if not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, _("The method is a text."))
    if unknown := [member for member in request if member not in MEMBERS]:
        raise RpcError(INVALID_REQUEST, _("Unknown members: %(names)s.") % {"names": ", ".join(unknown[:5])})
    if not isinstance(params, Mapping | list):
        raise RpcError(INVALID_REQUEST, _("The params are an object or a list."))
    if (method := METHODS.get(name)) is None:
        raise RpcError(UNKNOWN_METHOD, _unknown(name))
    if isinstance(params, Mapping):
        return method, dict(params)
    if len(params) > len(method.order):
        order = ", ".join(method.order)
        raise RpcError(INVALID_PARAMS, _("In a list the params are: %(order)s.") % {"order": order})
    return method, dict(zip(method.order, params, strict=False))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name[:100], METHODS, n=1)
    text = _("There is no method %(name).100r.") % {"name": name}
    return f"{text} {_('Did you mean %(name)s?') % {'name': close[0]}}" if close else text


def _error_of(error: Exception) -> RpcError:
    problem = problem_of(error)
    if problem is None:
        logger.error("A JSON-RPC call failed", exc_info=error)
        got_request_exception.send(sender=Caller, request=None)
        return RpcError(INTERNAL, _("Something went wrong here, and has been written to the log."))
    return RpcError(CODES.get(problem.status, -32000), problem.detail, problem.document())


def failure(id: Any, error: RpcError) -> dict[str, Any]:
    """The answer that tells an error."""
    told: dict[str, Any] = {"code": error.code, "message": clipped(error.message, 2_000)}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "error": told, "id": id}
