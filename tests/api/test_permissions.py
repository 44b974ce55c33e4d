"""Every path of the app, with the permission that each of its methods needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.test import Client
from django.urls import URLPattern

from django_workflows import urls
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.models import Execution, Status
from tests.api.conftest import MANAGER, Api, Login
from tests.factories import make_event, make_execution, make_trigger, make_workflow

METHODS = ("get", "post", "put", "patch", "delete")

# What a caller must have. None: being logged in is enough. "open": not even that, a secret stands for it.
NEEDED: dict[tuple[str, str], tuple[str, ...] | str | None] = {
    ("root", "get"): None,
    ("openapi", "get"): None,
    ("docs", "get"): None,
    ("rpc", "post"): None,  # each method checks its own, see test_rpc
    ("webhook", "any"): "open",
    ("token", "any"): "open",
    ("workflows", "get"): ("view_workflow",),
    ("workflows", "post"): ("add_workflow",),
    ("workflow", "get"): ("view_workflow",),
    ("workflow", "put"): ("change_workflow",),
    ("workflow", "patch"): ("change_workflow",),
    ("workflow", "delete"): ("delete_workflow",),
    ("versions", "get"): ("view_workflow",),
    ("start", "post"): ("start_execution",),
    ("executions", "get"): ("view_execution",),
    ("execution", "get"): ("view_execution",),
    ("history", "get"): ("view_execution",),
    ("steps", "get"): ("view_execution",),
    ("timeline", "get"): ("view_execution",),
    ("stream", "get"): ("view_execution",),
    ("result", "get"): ("view_execution",),
    ("pause", "post"): ("control_execution",),
    ("resume", "post"): ("control_execution",),
    ("cancel", "post"): ("control_execution",),
    ("retry", "post"): ("control_execution",),
    ("signal", "post"): ("control_execution",),
    ("events", "get"): ("view_event", "view_execution"),
    ("events", "post"): ("send_event",),
    ("redrive", "post"): ("send_event",),
    ("triggers", "get"): ("view_trigger",),
    ("triggers", "post"): ("add_trigger", "start_execution"),
    ("trigger", "get"): ("view_trigger",),
    ("trigger", "patch"): ("change_trigger",),
    ("trigger", "delete"): ("delete_trigger",),
    ("fire", "post"): ("start_execution",),
    ("metrics", "get"): ("view_execution",),
}
CHECKED = {place: needed for place, needed in NEEDED.items() if needed != "open"}
BODIES: dict[tuple[str, str], Any] = {
    ("signal", "post"): {"name": "go"},
    ("events", "post"): {"name": "order.created"},
    ("triggers", "post"): {"workflow": "api_greet", "type": "event", "pattern": "order.created"},
    ("start", "post"): {"input": {"name": "Ada"}},
    ("rpc", "post"): {"jsonrpc": "2.0", "method": "getMetrics", "id": 1},
    ("fire", "post"): {"data": {"name": "Ada"}},
}


def views() -> Iterator[tuple[URLPattern, Any]]:
    for pattern in urls.urlpatterns:
        yield pattern, getattr(pattern.callback, "cls", None)


def test_every_path_of_the_app_is_in_the_table() -> None:
    """A path without a line here has no test of its permission."""
    found = set()
    for pattern, view in views():
        name = pattern.name or next(other.name for other, same in views() if same is view and other.name)
        assert name is not None
        methods = ["any"] if view is None else [method for method in METHODS if hasattr(view, method)]
        found |= {(name, method) for method in methods}

    assert found == set(NEEDED)


def test_every_path_works_with_and_without_a_slash() -> None:
    routes = [str(pattern.pattern) for pattern in urls.urlpatterns]
    named = {str(pattern.pattern) for pattern in urls.urlpatterns if pattern.name} - {"", "webhooks/<path:path>"}

    assert {f"{route}/" for route in named} <= set(routes)


@pytest.fixture
def paths(greet: WorkflowDefinition[..., str]) -> dict[str, str]:
    """An address for each name, of things that are there."""
    execution = make_execution(Status.WAITING, workflow="api_greet")
    failed = make_execution(Status.FAILED, workflow="api_greet")
    paused = make_execution(Status.PAUSED, workflow="api_greet")
    done = make_execution(Status.COMPLETED, workflow="api_greet")
    trigger = make_trigger(workflow="api_greet", config={})
    targets = {"retry": failed, "resume": paused, "stream": done, "redrive": make_event()}
    known = {"id": "", "workflows": "api_greet"}
    found = {}
    for pattern, _view in views():
        if (name := pattern.name) is None:
            continue
        route = str(pattern.pattern).replace("<any:name>", known["workflows"])
        target: Any = trigger if route.startswith("triggers") else targets.get(name, execution)
        found[name] = "/api/" + route.replace("<any:id>", str(target.pk))
    return found


def call(api: Api, place: tuple[str, str], paths: dict[str, str]) -> Any:
    body = None if place[1] in {"get", "delete"} else BODIES.get(place, {})
    return api(place[1].upper(), paths[place[0]], body)


@pytest.mark.parametrize("place", CHECKED, ids="-".join)
def test_nobody_gets_in_without_being_logged_in(nobody: Api, paths: dict[str, str], place: tuple[str, str]) -> None:
    answer = call(nobody, place, paths)

    assert answer.status_code in {401, 403}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:django-workflows:problem:not-authenticated"


@pytest.mark.parametrize("place", [place for place, needed in CHECKED.items() if needed], ids="-".join)
def test_each_permission_is_needed(login: Login, paths: dict[str, str], place: tuple[str, str]) -> None:
    """With all but one of them the answer is 403 and names it; nothing has changed."""
    before = list(Execution.objects.order_by("id").values())
    for number, needed in enumerate(CHECKED[place] or ()):
        api = login(*(set(MANAGER) - {needed}), name=f"lacks-{number}")
        answer = call(api, place, paths)

        assert answer.status_code == 403, answer.content
        assert needed in answer.json()["detail"]
    assert list(Execution.objects.order_by("id").values()) == before


@pytest.mark.parametrize("place", CHECKED, ids="-".join)
def test_the_permission_suffices(login: Login, paths: dict[str, str], place: tuple[str, str]) -> None:
    api = login(*(CHECKED[place] or ()), name="has-it")
    answer = call(api, place, paths)

    # not what they may not do, though it may not apply to what is there
    assert answer.status_code < 400 or answer.status_code in {400, 409}, answer.content
    if getattr(answer, "streaming", False):
        b"".join(answer.streaming_content)


@pytest.mark.parametrize("method", ["delete", "put", "patch", "trace", "options"])
def test_other_methods_are_refused(operator: Api, method: str) -> None:
    answer = operator.client.generic(method.upper(), "/api/executions")

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


class PerRow:
    """A backend that knows rows: ada may do everything to executions on the queue "ada"."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def has_perm(self, user: User, permission: str, row: Any = None) -> bool:
        return isinstance(row, Execution) and row.queue == user.username


@pytest.fixture
def per_row(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "tests.api.test_permissions.PerRow",
    ]


@pytest.mark.parametrize("tail", ["", "/history", "/steps", "/timeline", "/result"])
def test_a_permission_for_one_row_counts_for_this_row_alone(per_row: None, db: None, tail: str) -> None:
    """IDOR: who guesses another's id learns not even whether it exists."""
    user, client = User.objects.create_user("ada"), Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    api = Api(client)
    own, foreign = make_execution(queue="ada", input={"a": 1}), make_execution(queue="bob")
    missing = "00000000-0000-4000-8000-000000000000"

    assert api.get(f"executions/{own.id}{tail}").status_code == 200
    assert api.get(f"executions/{foreign.id}{tail}").status_code == 403
    assert api.get(f"executions/{missing}{tail}").status_code == 403
    assert api.get("executions").status_code == 403
    assert api.post(f"executions/{foreign.id}/cancel").status_code == 403
    assert api.post(f"executions/{own.id}/cancel").status_code == 200


def only_own(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    """A scope: users see executions on a queue of their own name, and workflows and events that name them."""
    model = rows.model.__name__
    if model == "Execution":
        return rows.filter(queue=user.username)
    if model == "Event":
        return rows.filter(source=user.username)
    if model == "Workflow":
        return rows.filter(name__in=[user.username, "api_greet"])
    return rows.filter(workflow=user.username)


@pytest.fixture
def scoped(settings: Any, login: Login) -> Api:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_permissions.only_own"}
    return login(*MANAGER, name="tenant")


@pytest.mark.parametrize("tail", ["", "/history", "/steps", "/timeline", "/result", "/stream"])
def test_what_is_outside_the_scope_does_not_exist(scoped: Api, tail: str) -> None:
    """EXE-05"""
    foreign = make_execution(queue="other")

    assert scoped.get(f"executions/{foreign.id}{tail}").status_code == 404


@pytest.mark.parametrize("verb", ["pause", "cancel", "resume", "retry", "signal"])
def test_nothing_is_done_to_what_is_outside_the_scope(scoped: Api, verb: str) -> None:
    """EXE-05"""
    foreign = make_execution(queue="other")

    assert scoped.post(f"executions/{foreign.id}/{verb}", {"name": "go"} if verb == "signal" else {}).status_code == 404
    foreign.refresh_from_db()
    assert foreign.status == Status.PENDING


def test_lists_numbers_and_the_feed_keep_to_the_scope(scoped: Api) -> None:
    """EXE-05"""
    own, _foreign = make_execution(queue="tenant"), make_execution(queue="other")
    make_workflow("tenant")
    make_workflow("other-flow")
    make_trigger(workflow="other-flow", config={})

    assert [row["id"] for row in scoped.get("executions").json()["results"]] == [str(own.id)]
    assert [row["name"] for row in scoped.get("workflows").json()["results"]] == ["tenant"]
    assert scoped.get("triggers").json()["results"] == []
    assert sum(count["count"] for count in scoped.get("metrics").json()["counts"]) == 1
    assert {item["execution"] for item in scoped.get("events").json()["results"]} == {str(own.id)}


def test_a_key_of_somebody_else_is_not_answered_with_his_execution(
    scoped: Api, greet: WorkflowDefinition[..., str]
) -> None:
    """EXE-05"""
    holder = greet.using(key="order-1", queue="other").start(name="Bob")

    answer = scoped.post("workflows/api_greet/start", {"input": {"name": "x"}, "key": "order-1"})
    error = scoped.post("workflows/api_greet/start", {"input": {"name": "x"}, "key": "order-1", "on_conflict": "error"})

    assert answer.status_code == 403
    assert error.status_code == 403
    assert str(holder.id) not in answer.content.decode() + error.content.decode()


def test_a_trigger_starts_nothing_outside_the_scope_of_its_maker(scoped: Api) -> None:
    make_workflow("other-flow")
    answer = scoped.post("triggers", {"workflow": "other-flow", "type": "event", "pattern": "order.created"})

    assert answer.json()["errors"][0]["field"] == "workflow"
