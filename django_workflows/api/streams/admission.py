"""Whether who opened a stream would be let in again.

A stream lasts for minutes. Meanwhile its user may have been deactivated or logged out, his token deleted, a permission
withdrawn, the execution moved out of his scope: so the same request is judged again, as if it came now.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth import SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from django_workflows.api.base import ApiView


def admission(view: ApiView, id: UUID, *, reveal: bool) -> Callable[[], bool]:
    """Whether the view's request would still find this execution, and see as much of it."""
    request, name = view.request, type(view)
    user = getattr(request.user, "pk", None)

    def still_holds() -> bool:
        again = name()
        again.setup(_anew(request._request))
        again.request = Request(again.request, authenticators=again.get_authenticators())
        try:
            again.perform_authentication(again.request)
            again.check_permissions(again.request)
            execution = again.access.execution(id, without=("input", "output", "state", "error"))
        except APIException:
            return False
        return getattr(again.request.user, "pk", None) == user and again.access.reveals(execution) == reveal

    return still_holds


def _anew(http: HttpRequest) -> HttpRequest:
    """The same request without what was found out when it came: its session and its user."""
    found = copy.copy(http)
    session, user = getattr(http, "session", None), getattr(http, "user", None)
    is_of_session = False
    if session is not None:
        is_of_session = str(session.get(SESSION_KEY)) == str(getattr(user, "pk", None))
        found.session = type(session)(session.session_key)
    if user is not None:
        found.user = get_user(found) if is_of_session else _user_anew(user)
    return found


def _user_anew(user: Any) -> Any:
    """A user whom a middleware of the project has found: his row as it is now, if he has one."""
    kind = user.__class__  # not that of the lazy object around him
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        return user
    return kind._default_manager.filter(pk=user.pk).first() or AnonymousUser()
