"""Errors as problem+json (RFC 9457): what is wrong, field by field, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework import exceptions as rest
from rest_framework.response import Response
from rest_framework.views import set_rollback

from django_workflows import exceptions as ours
from django_workflows.api.openapi import PROBLEM_TYPE
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.exceptions import MOST_ERRORS, clipped
from django_workflows.inspection.feed import InvalidCursor
from django_workflows.inspection.timeline import InvalidPosition

logger = logging.getLogger("django_workflows")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field, named by its path: `steps.0.retry`; empty for the whole."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as callers get it. `type` is a stable word for programs, the texts are for people."""

    status: int
    type: str
    detail: str
    errors: Sequence[FieldError] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Bounded, however much of it quotes what the caller has sent."""
        return {
            "type": f"urn:django-workflows:problem:{self.type}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": clipped(self.detail, 2_000),
            "errors": [
                {"field": clipped(error.field, 300), "message": clipped(error.message, 1_000)}
                for error in self.errors[: MOST_ERRORS + 1]
            ],
            **self.extra,
        }


class Refused(rest.APIException):
    """A problem that is known where it arises."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem, self.status_code = problem, problem.status


def invalid(field: str, message: str) -> rest.ValidationError:
    """The error for one field of a request."""
    return rest.ValidationError({field: [message]})


def conflict(type: str, detail: str, **extra: Any) -> Refused:
    """The error for a request that the present state does not allow."""
    return Refused(Problem(status=409, type=type, detail=detail, extra=extra))


def problem_of(error: Exception) -> Problem | None:
    """The problem that an exception means to a caller; None for what is nobody's fault but ours."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, ours.WorkflowsError):
        return _of_ours(error)
    if isinstance(error, rest.APIException):
        return _of_rest(error)
    if isinstance(error, Http404):
        return Problem(status=404, type="not-found", detail=_("There is nothing here."))
    if isinstance(error, DjangoPermissionDenied):
        return Problem(status=403, type="permission-denied", detail=_("You may not do this."))
    if isinstance(error, UnreadablePostError):
        return Problem(status=400, type="malformed", detail=_("The body did not arrive."))
    if isinstance(error, OperationalError | InterfaceError | AmbiguousCommit | ConnectionLost):
        logger.error("The database did not answer a request", exc_info=error)
        detail = _("The database does not answer. Try again, with the same Idempotency-Key.")
        return Problem(status=503, type="database-unavailable", detail=detail, headers={"Retry-After": "5"})
    return None


def _of_ours(error: ours.WorkflowsError) -> Problem | None:
    detail = str(error)
    match error:
        case ours.InvalidTrigger() if "origin" in error.errors:
            return Problem(status=409, type="not-yours", detail=" ".join(error.errors["origin"]))
        case ours.InvalidInput():
            errors = [FieldError(field=name, message=m) for name, messages in error.errors.items() for m in messages]
            status, type = (403, "permission-denied") if isinstance(error, ours.NotPermitted) else (400, "invalid")
            return Problem(status=status, type=type, detail=_summary(errors), errors=errors)
        case ours.PayloadTooLarge():
            return Problem(status=413, type="too-large", detail=detail)
        case ours.PayloadError() | InvalidPosition() | InvalidCursor():
            return Problem(status=400, type="invalid", detail=detail, errors=[FieldError(field="", message=detail)])
        case ours.UnknownWorkflow() | ours.ExecutionNotFound() | ours.EventNotFound() | ours.UnknownToken():
            return Problem(status=404, type="not-found", detail=detail)
        case ours.TokenSpent():
            return Problem(status=410, type="gone", detail=detail)
        case ours.TransitionError():
            extra = {"execution_status": error.status, "allowed": error.allowed}
            return Problem(status=409, type="not-applicable", detail=detail, extra=extra)
        case ours.KeyConflict():
            return Problem(status=409, type="key-taken", detail=detail, extra={"execution": str(error.execution_id)})
        case ours.WorkflowDisabled():
            return Problem(status=409, type="disabled", detail=detail)
        case ours.DefinitionError():
            return Problem(status=409, type="misconfigured", detail=detail)
    return None


def _of_rest(error: rest.APIException) -> Problem:
    headers = {}
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(auth_header)
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    if isinstance(error, rest.ValidationError):
        errors = list(flatten(error.detail))
        return Problem(status=400, type="invalid", detail=_summary(errors), errors=errors, headers=headers)
    detail = str(error.detail)
    if isinstance(error, rest.UnsupportedMediaType):
        detail += " " + _("Send JSON, with the header Content-Type: application/json.")
    types = {400: "malformed", 401: "not-authenticated", 403: "permission-denied", 404: "not-found"}
    types |= {405: "method-not-allowed", 413: "too-large", 415: "unsupported-media-type", 429: "throttled"}
    is_unknown = isinstance(error, rest.NotAuthenticated | rest.AuthenticationFailed)  # 403 where nothing challenges
    type = "not-authenticated" if is_unknown else types.get(error.status_code, "error")
    return Problem(status=error.status_code, type=type, detail=detail, headers=headers)


def _summary(errors: Sequence[FieldError]) -> str:
    """All in one line, for people who look at nothing else."""
    return " ".join(f"{error.field}: {error.message}" if error.field else error.message for error in errors[:5])


def flatten(detail: Any, path: str = "") -> Iterator[FieldError]:
    """The field errors in what a serializer complained about, at any depth."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from flatten(inner, path if name == "non_field_errors" else f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list | tuple):
        for number, inner in enumerate(detail):
            deeper = isinstance(inner, Mapping | list | tuple)
            if not deeper or inner:
                yield from flatten(inner, f"{path}.{number}" if deeper and path else str(number) if deeper else path)
    else:
        yield FieldError(field=path, message=str(detail))


def respond(problem: Problem) -> Response:
    return Response(problem.document(), status=problem.status, headers=dict(problem.headers), content_type=PROBLEM_TYPE)


def handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler. What is our fault is logged, told to the project's error reports, and not shown."""
    problem = problem_of(error)
    if problem is None:
        if settings.DEBUG:
            return None
        request = getattr(context.get("request"), "_request", None)
        got_request_exception.send(sender=type(context.get("view")), request=request)
        logger.error("A request to the HTTP API failed", exc_info=error)
        detail = _("Something went wrong here, and has been written to the log.")
        problem = Problem(status=500, type="internal", detail=detail)
    set_rollback()
    return respond(problem)
