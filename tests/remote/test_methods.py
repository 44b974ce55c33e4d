"""Every method of the client against a real server, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from django_workflows import client as door
from django_workflows.api.methods import METHODS
from django_workflows.models import Event, EventType, Execution, Workflow
from django_workflows.remote import Conflict, InvalidRequest, NotFound
from django_workflows.remote.methods import Method, Methods
from django_workflows.testing import Workflows
from tests.factories import make_execution
from tests.remote.conftest import Connect, both

pytestmark = pytest.mark.django_db(transaction=True)

DEFINITION = {"name": "remote_pause", "steps": [{"id": "pause", "sleep": "5 minutes"}]}


def test_there_is_a_method_for_each_of_the_server() -> None:
    snake = {"".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in METHODS}
    assert {name for name, value in vars(Methods).items() if isinstance(value, Method)} == snake
    assert Methods.start_workflow.__doc__


@both
def test_an_execution_from_its_start_to_its_end(client: Any) -> None:
    started = client.start_workflow("remote_greet", {"name": "Ada"}, key="ada", tags={"tenant": "acme"}, priority=3)
    assert (started.workflow, started.status, started.key) == ("remote_greet", "pending", "ada")
    assert (started.tags, started.priority, started.input) == ({"tenant": "acme"}, 3, {"name": "Ada"})
    assert isinstance(started.id, UUID)
    assert started.created_at.tzinfo is not None
    with Workflows() as workflows:
        workflows.run_until_idle()
        waiting = client.get_execution(started.id)
        assert (waiting.status, waiting.state) == ("waiting", {"greeting": "Ada"})
        assert "signal" in waiting.why
        door.signal(started.id, "go")
        workflows.run_until_idle()
    ended = client.get_execution(str(started.id))
    assert (ended.status, ended.output, ended.is_finished) == ("completed", "hello Ada", True)


def test_what_is_missing_is_none_or_false(client: Any) -> None:
    missing = uuid4()
    assert client.get_execution(missing) is None
    assert client.get_workflow("missing") is None
    assert client.get_history(missing) is None
    assert client.pause_execution(missing) is False
    assert client.cancel_execution(missing) is False
    assert client.unregister_trigger(missing) is False
    assert client.delete_workflow("missing") is False
    with pytest.raises(NotFound):
        client.retry_execution(missing)


def test_the_verbs(client: Any) -> None:
    id = client.start_workflow("remote_greet", {"name": "Ada"}).id
    assert client.resume_execution(id) is False
    assert client.pause_execution(id, "not now") is True
    assert (client.get_execution(id).status, client.get_execution(id).reason) == ("paused", "not now")
    assert client.resume_execution(id) is True
    with pytest.raises(Conflict) as error:
        client.retry_execution(id)
    assert error.value.problem.extra["allowed"] == ["cancel", "pause", "signal"]
    assert client.cancel_execution(id, "enough") is True
    assert client.cancel_execution(id) is False


def test_a_failed_execution_is_retried(client: Any) -> None:
    failed = make_execution("failed", workflow="remote_greet", input={"name": "Ada"})
    assert client.get_execution(failed.id).error["type"] == "ProviderError"
    assert client.retry_execution(failed.id).status == "pending"


def test_options_of_a_start_are_durations_and_moments(client: Any) -> None:
    delayed = client.start_workflow("remote_greet", {"name": "Ada"}, delay=timedelta(hours=1), timeout="2 hours")
    assert delayed.wake_at - delayed.created_at == timedelta(hours=1)
    assert delayed.deadline - delayed.created_at == timedelta(hours=3)
    later = client.start_workflow("remote_greet", {"name": "Ada"}, start_at=datetime(2100, 1, 1, tzinfo=UTC))
    assert later.wake_at == datetime(2100, 1, 1, tzinfo=UTC)


def test_a_key_that_is_taken(client: Any) -> None:
    first = client.start_workflow("remote_greet", {"name": "Ada"}, key="k")
    assert client.start_workflow("remote_greet", {"name": "Ada"}, key="k").id == first.id
    with pytest.raises(Conflict) as error:
        client.start_workflow("remote_greet", {"name": "Ada"}, key="k", on_conflict="error")
    assert error.value.problem.extra["execution"] == str(first.id)
    replaced = client.start_workflow("remote_greet", {"name": "Ada"}, key="k", on_conflict="cancel")
    assert replaced.id != first.id
    assert client.get_execution(first.id).status == "cancelled"


def test_lists_have_filters_and_pages(client: Any) -> None:
    for number in range(5):
        tags = {"even": number % 2 == 0, "tenant": "acme"}
        client.start_workflow("remote_greet", {"name": str(number)}, tags=tags)
    page = client.list_executions(workflow="remote_greet", tag="tenant:acme", limit=3)
    rest = client.list_executions(workflow="remote_greet", tag=["tenant:acme"], limit=3, cursor=page.cursor)
    assert (len(page.results), len(rest.results), rest.cursor) == (3, 2, None)
    assert len({execution.id for execution in [*page.results, *rest.results]}) == 5
    assert client.list_executions(created_after=datetime(2100, 1, 1, tzinfo=UTC)).results == []
    assert client.list_executions(status="pending", parent=uuid4()).results == []


def test_workflows_are_listed_and_described(client: Any) -> None:
    assert client.get_workflow("remote_greet").kind == "code"
    names, cursor = [], None
    while True:
        page = client.list_workflows(limit=2, cursor=cursor)
        names += [found.name for found in page.results]
        if (cursor := page.cursor) is None:
            break
    assert "remote_greet" in names
    assert sorted(names) == sorted(Workflow.objects.values_list("name", flat=True))


def test_a_definition_is_created_updated_and_deleted(client: Any) -> None:
    created = client.create_workflow(DEFINITION)
    assert (created.name, created.version, created.kind) == ("remote_pause", 1, "definition")
    changed = client.update_workflow("remote_pause", {**DEFINITION, "timeout": "2 days"})
    assert (changed.version, changed.timeout) == (2, timedelta(days=2))
    assert client.delete_workflow("remote_pause") is True
    assert client.get_workflow("remote_pause") is None


def test_events_are_published_once_for_each_id(client: Any) -> None:
    first = client.send_event("order.created", {"order": 1}, id="o-1", source="shop")
    second = client.send_event("order.created", {"order": 1}, id="o-1", source="shop")
    assert first.id == second.id
    assert (first.name, first.event_id, first.source) == ("order.created", "o-1", "shop")
    client.send_event("order.created")
    assert Event.objects.filter(type=EventType.EVENT).count() == 2


def test_triggers_are_registered_listed_and_removed(client: Any) -> None:
    made = client.register_trigger("remote_greet", "event", "person.*", {"where": {"vip": True}})
    assert (made.workflow, made.type, made.pattern, made.enabled) == ("remote_greet", "event", "person.*", True)
    assert [found.id for found in client.list_triggers(workflow="remote_greet").results] == [made.id]
    assert client.unregister_trigger(made.id) is True
    assert client.list_triggers(workflow="remote_greet", type="event").results == []
    with pytest.raises(InvalidRequest) as error:
        client.register_trigger("remote_greet", "schedule", "now and then")
    assert "pattern" in error.value.problem.errors


def test_history_is_paged(client: Any) -> None:
    id = client.start_workflow("remote_greet", {"name": "Ada"}).id
    client.pause_execution(id)
    client.resume_execution(id)
    page = client.get_history(id, limit=1)
    rest = client.get_history(id, cursor=page.cursor)
    assert len(page.results) == 1
    times = [item.time for item in [*page.results, *rest.results]]
    assert times == sorted(times)
    assert {"pause", "resume"} <= {item.name for item in [*page.results, *rest.results]}


def test_metrics(client: Any) -> None:
    client.start_workflow("remote_greet", {"name": "Ada"})
    everything, one = client.get_metrics(), client.get_metrics("remote_greet")
    assert {count.status: count.count for count in one.counts}["pending"] == 1
    assert everything.rates.window > timedelta(0)
    assert everything.time.tzinfo is not None


@both
def test_what_the_server_refuses_is_told_in_its_words(client: Any) -> None:
    with pytest.raises(InvalidRequest) as error:
        client.start_workflow("remote_greet", {"name": 1, "colour": "red"})
    problem = error.value.problem
    assert (problem.status, problem.type) == (400, "invalid")
    assert set(problem.errors) == {"input.name", "input.colour"}
    assert "startWorkflow: " in str(error.value)
    with pytest.raises(NotFound, match="remote_greet"):
        client.start_workflow("remote_gret")


def test_the_wrong_password_and_too_few_permissions(api: str, connect: Connect, django_user_model: Any) -> None:
    django_user_model.objects.create_user("bob", password="b")
    refused = {type(_error(connect(api, auth=auth))).__name__ for auth in (("ada", "wrong"), None, ("bob", "b"))}
    assert refused <= {"NotAuthenticated", "PermissionMissing"}
    assert type(_error(connect(api, auth=("bob", "b")))).__name__ == "PermissionMissing"
    assert Execution.objects.count() == 0


def _error(client: Any) -> Exception | None:
    try:
        client.start_workflow("remote_greet", {"name": "Ada"})
    except Exception as error:
        return error
    return None
