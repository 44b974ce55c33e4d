"""Keys of what triggers start are the engine's: nobody takes one beforehand, and so swallows a tick or a delivery."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_workflows import Context, client, conf, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.names import ENGINE_KEYS
from django_workflows.engine.events.published import Published
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Event, Execution
from django_workflows.testing import Workflows
from django_workflows.triggers import manual, schedule_starts
from django_workflows.triggers.dispatch import Wanted
from django_workflows.triggers.webhooks import receiving
from tests.api.conftest import MANAGER, Api, Login
from tests.factories import make_execution, make_trigger, make_workflow, now

Tick = WorkflowDefinition[..., None]


@pytest.fixture
def tick(db: None) -> Tick:
    @workflow(name="keys_tick")
    def keys_tick(ctx: Context) -> None: ...

    return keys_tick


@pytest.fixture
def caller(login: Login, tick: Tick) -> Api:
    make_workflow("keys_tick")
    return login(*MANAGER, name="caller")


TAKEN = [f"{start}0b54a4b5-6a8c-4d4e-9a39-6d8a3a6f6c11:2026-01-01T00:00:00+00:00" for start in ENGINE_KEYS]


@pytest.mark.parametrize("key", TAKEN)
def test_nobody_starts_anything_under_a_key_of_the_engine(caller: Api, tick: Tick, key: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "startWorkflow"}
    params = {"name": "keys_tick", "idempotency_key": key}

    assert caller.post("workflows/keys_tick/start", {}, Idempotency_Key=key).status_code == 400
    assert caller.post("rpc", call | {"params": params}).json()["error"]["code"] == -32602
    with pytest.raises(InvalidInput, match="the engine's own"):
        tick.using(idempotency_key=key).start()
    with pytest.raises(InvalidInput, match="the engine's own"):
        client.start_many(tick, [{}], idempotency_key=lambda _: key)
    assert not Execution.objects.exists()


@pytest.mark.parametrize("key", TAKEN)
def test_nobody_publishes_under_a_key_of_the_engine(caller: Api, key: str) -> None:
    """A webhook publishes what it got under the key of the delivery."""
    assert caller.post("events", {"name": "a", "id": key}).status_code == 400
    assert caller.post("events", [{"name": "a", "id": key}]).status_code == 400
    assert caller.post("events", {"name": "a"}, Idempotency_Key=key).status_code == 400
    with pytest.raises(InvalidInput, match="the engine's own"):
        client.send_event("a", id=key)
    assert not Event.objects.exists()


def test_a_workflow_publishes_under_none_either(db: None) -> None:
    @workflow(name="keys_publish")
    def keys_publish(ctx: Context) -> None:
        ctx.send_event("a", id="webhook:hook:1")

    with Workflows() as flows:
        keys_publish.start()
        flows.run_to_end()
    assert Execution.objects.get().status == "failed"


def test_every_key_that_triggers_make_is_such_a_key(tick: Tick) -> None:
    """A new kind of key that is not reserved could be taken."""
    trigger = make_trigger(workflow="keys_tick", config={})
    made = [
        schedule_starts.key_of(trigger, now()),
        receiving.key_of("hook", "1"),
        receiving.key_of("hook", "1" * 300),
        Wanted(trigger, Published(trigger.pk, "a", None, now(), now()), manual.event_now(trigger, "1")).idempotency_key,
        str(Execution.objects.get(pk=manual.fire(trigger).id).idempotency_key),
    ]

    assert [key for key in made if not key.startswith(ENGINE_KEYS)] == []


def test_what_was_started_under_such_a_key_before_is_still_the_same(tick: Tick) -> None:
    """Their form stays: an old worker beside a new one, and what an old one has started, count as before."""
    trigger = make_trigger("every minute", type="schedule", workflow="keys_tick", config={})
    nominal = datetime(2026, 1, 1, tzinfo=UTC)
    make_execution(
        workflow="keys_tick", idempotency_key=f"schedule:{trigger.pk}:2026-01-01T00:00:00+00:00", trigger_id=trigger.pk
    )

    assert schedule_starts.start_tick(conf.database(), trigger, nominal, now()) is None
    assert Execution.objects.count() == 1


def test_a_key_that_only_looks_a_little_alike_is_free(tick: Tick) -> None:
    tick.using(idempotency_key="scheduled:1").start()

    assert Execution.objects.get().idempotency_key == "scheduled:1"
