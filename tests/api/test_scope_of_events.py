"""Events within a scope: whose ids are whose, and whom they reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from django_workflows import Context, client, on, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.definitions import save
from django_workflows.engine.events import deliver
from django_workflows.models import Event, Execution, Status, WorkflowVersion
from django_workflows.rights import Maker
from django_workflows.testing import Workflows
from django_workflows.triggers import registering
from tests.api.conftest import MANAGER, Api, Login
from tests.factories import make_workflow

Waiter = WorkflowDefinition[..., Any]


@pytest.fixture(autouse=True)
def by_tenant(settings: Any) -> None:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope.of_tenant"}


@pytest.fixture
def acme(login: Login) -> Api:
    return login(*MANAGER, name="acme")


@pytest.fixture
def flows(db: None) -> Iterator[Workflows]:
    with Workflows() as flows:
        yield flows


@pytest.fixture
def waiter(db: None) -> Waiter:
    @workflow(name="scope_waiter")
    def scope_waiter(ctx: Context, lookback: int = 0) -> Any:
        return ctx.wait_for_event("acme.paid", lookback=lookback or None)

    make_workflow("scope_waiter")
    return scope_waiter


def acme_id() -> str:
    return str(User.objects.get(username="acme").pk)


def statuses() -> dict[str, str]:
    """By tenant."""
    return dict(Execution.objects.values_list("queue", "status"))


# ids


@pytest.mark.parametrize("by_header", [True, False])
def test_an_id_that_a_hidden_event_has_is_refused_and_swallows_nothing(acme: Api, by_header: bool) -> None:
    client.send_event("other.paid", id="e-1")
    headers = {"Idempotency_Key": "e-1"} if by_header else {}

    answer = acme.post("events", {"name": "acme.paid"} | ({} if by_header else {"id": "e-1"}), **headers)

    assert answer.status_code == 403
    assert "other.paid" not in answer.content.decode()
    assert Event.objects.get().name == "other.paid"
    assert acme.post("events", {"name": "acme.paid", "id": "acme-e-1"}).status_code == 201


def test_one_such_id_in_a_batch_refuses_the_batch(acme: Api) -> None:
    client.send_event("other.paid", id="e-1")

    assert acme.post("events", [{"name": "acme.paid"}, {"name": "acme.paid", "id": "e-1"}]).status_code == 403
    assert Event.objects.count() == 1


def test_an_id_of_the_same_tenant_gives_the_first_event(acme: Api) -> None:
    first = acme.post("events", {"name": "acme.paid", "id": "e-1"})
    again = acme.post("events", {"name": "acme.paid", "id": "e-1"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


@pytest.mark.parametrize("through_rpc", [True, False])
def test_nobody_publishes_what_he_could_not_see(acme: Api, through_rpc: bool) -> None:
    if through_rpc:
        call = {"jsonrpc": "2.0", "id": 1, "method": "sendEvent", "params": {"name": "other.paid"}}
        assert acme.post("rpc", call).json()["error"]["code"] == -32003
    else:
        assert acme.post("events", {"name": "other.paid"}).status_code == 403
    assert not Event.objects.exists()


# who is woken


def test_an_event_wakes_what_its_publisher_may_see(acme: Api, flows: Workflows, waiter: Waiter) -> None:
    for queue in ("acme", "other"):
        waiter.using(queue=queue).start()
    flows.run_until_idle()

    acme.post("events", {"name": "acme.paid", "data": {"n": 1}})
    flows.run_until_idle()

    assert statuses() == {"acme": Status.COMPLETED, "other": Status.WAITING}
    assert not Event.objects.filter(name="acme.paid", dispatched_at=None).exists()


def test_an_event_of_the_code_wakes_all(flows: Workflows, waiter: Waiter) -> None:
    for queue in ("acme", "other"):
        waiter.using(queue=queue).start()
    flows.run_until_idle()

    client.send_event("acme.paid")
    flows.run_until_idle()

    assert set(statuses().values()) == {Status.COMPLETED}


def test_without_a_scope_an_event_of_a_user_wakes_all(
    acme: Api, flows: Workflows, waiter: Waiter, settings: Any
) -> None:
    settings.WORKFLOWS = {}
    for queue in ("acme", "other"):
        waiter.using(queue=queue).start()
    flows.run_until_idle()

    acme.post("events", {"name": "acme.paid"})
    flows.run_until_idle()

    assert set(statuses().values()) == {Status.COMPLETED}


def test_many_hidden_waits_neither_hold_up_nor_keep_the_event(
    acme: Api, flows: Workflows, waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "MOST_DELIVERIES", 2)
    for queue in ["other"] * 5 + ["acme"] * 5 + ["other"] * 5:
        waiter.using(queue=queue).start()
    flows.run_until_idle()

    acme.post("events", {"name": "acme.paid"})
    flows.run_until_idle()

    assert Execution.objects.filter(queue="acme", status=Status.COMPLETED).count() == 5
    assert Execution.objects.filter(queue="other", status=Status.WAITING).count() == 10
    assert Event.objects.get(type="event", execution=None).dispatched_at is not None


def test_a_wait_that_looks_back_finds_only_what_may_reach_it(acme: Api, flows: Workflows, waiter: Waiter) -> None:
    acme.post("events", {"name": "acme.paid"})
    flows.run_until_idle()

    for queue in ("acme", "other"):
        waiter.using(queue=queue).start(lookback=3_600)
    flows.run_until_idle()

    assert statuses() == {"acme": Status.COMPLETED, "other": Status.WAITING}


def test_what_a_user_published_who_is_gone_reaches_nothing(
    acme: Api, flows: Workflows, waiter: Waiter, caplog: pytest.LogCaptureFixture
) -> None:
    waiter.using(queue="acme").start()
    flows.run_until_idle()

    acme.post("events", {"name": "acme.paid"})
    User.objects.all().delete()
    flows.run_until_idle()

    assert statuses() == {"acme": Status.WAITING}
    assert "is gone" in caplog.text


def test_a_scope_that_fails_reaches_nothing_and_stops_no_worker(
    acme: Api, flows: Workflows, waiter: Waiter, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    waiter.using(queue="acme").start()
    flows.run_until_idle()
    acme.post("events", {"name": "acme.paid"})
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope_of_events.broken"}

    flows.run_until_idle()

    assert statuses() == {"acme": Status.WAITING}
    assert "API_SCOPE" in caplog.text
    assert Event.objects.get(name="acme.paid", execution=None).dispatched_at is not None


def broken(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    raise RuntimeError("no tenant")


# what is started


def test_an_event_starts_what_its_publisher_may_see(acme: Api, flows: Workflows) -> None:
    @workflow(name="acme_book")
    def acme_book(ctx: Context, event: Any) -> None: ...

    @workflow(name="other_book")
    def other_book(ctx: Context, event: Any) -> None: ...

    for name in ("acme_book", "other_book"):
        make_workflow(name)
        registering.create(name, "event", "acme.*")

    acme.post("events", {"name": "acme.paid"})
    flows.run_until_idle()

    assert [execution.workflow for execution in Execution.objects.all()] == ["acme_book"]


def test_a_trigger_of_a_user_gets_the_events_that_he_may_see(acme: Api, flows: Workflows) -> None:
    """Whoever registers ** must not read everybody's events."""

    @workflow(name="acme_spy")
    def acme_spy(ctx: Context, event: Any) -> None: ...

    make_workflow("acme_spy")
    assert acme.post("triggers", {"workflow": "acme_spy", "type": "event", "pattern": "**"}).status_code == 201

    for name in ("other.secret", "acme.paid"):
        client.send_event(name)
    flows.run_until_idle()

    assert [execution.input["event"]["name"] for execution in Execution.objects.all()] == ["acme.paid"]


def test_a_trigger_of_the_code_gets_all_events(flows: Workflows) -> None:
    @workflow(name="scope_all", triggers=[on("**")])
    def scope_all(ctx: Context, event: Any) -> None: ...

    registering.create("scope_all", "event", "**", origin="code")
    client.send_event("other.secret")
    flows.run_until_idle()

    assert Execution.objects.get().workflow == "scope_all"


def test_a_definition_of_a_user_gets_the_events_that_he_may_see(acme: Api, flows: Workflows) -> None:
    steps = [{"id": "wait", "waitForEvent": "other.secret"}]
    save({"name": "acme_spies", "steps": steps}, by=Maker(user=User.objects.get(username="acme"), is_scoped=True))
    client.using("acme_spies", queue="acme").start()
    flows.run_until_idle()

    client.send_event("other.secret", {"card": 4711})
    flows.run_until_idle()

    assert WorkflowVersion.objects.get(workflow="acme_spies").made_by == acme_id()
    assert statuses() == {"acme": Status.WAITING}


def test_what_a_webhook_of_a_user_publishes_is_bound_as_if_he_published_it(acme: Api, settings: Any) -> None:
    settings.WORKFLOWS |= {"WEBHOOK_SECRETS": {"X": "s" * 32}}
    make_workflow("acme_hooked")

    @workflow(name="acme_hooked")
    def acme_hooked(ctx: Context, event: Any) -> None: ...

    config = {"verify": "bearer", "secret": "X", "event": "acme.hooked"}
    body = {"workflow": "acme_hooked", "type": "webhook", "pattern": "acme", "config": config}
    assert acme.post("triggers", body).status_code == 201

    acme.post("/api/webhooks/acme", {"a": 1}, Authorization=f"Bearer {'s' * 32}")

    assert Event.objects.get(name="acme.hooked").made_by == acme_id()
