from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import Model
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from django_workflows import client, codec, step
from django_workflows.authoring.ports import Ports, StartOptions
from django_workflows.clock import database_now
from django_workflows.exceptions import (
    DefinitionError,
    ExecutionNotFound,
    InvalidInput,
    NotInstalled,
    PayloadError,
    ResultTimeout,
    UnknownWorkflow,
)
from django_workflows.models import Execution, Status
from tests.client.conftest import at_the_same_instant, rolled_back
from tests.client.samples import door_anything, door_charge, door_import, door_order, door_receipt

pytestmark = pytest.mark.django_db

ALMOST = timedelta(seconds=5)
UNKNOWN = UUID("c0ffee00-0000-4000-8000-000000000000")


def test_a_start_stores_a_pending_execution_that_is_due_now() -> None:
    """EXE-01: what start() gives back is what the database holds."""
    given = door_order.start(7, note="gift")
    stored = Execution.objects.get(pk=given.id)
    assert isinstance(given, Execution)
    assert (stored.workflow, stored.version, stored.status) == ("door_order", 1, Status.PENDING)
    assert stored.input == {"order_id": 7, "note": "gift"}
    assert stored.wake_at == stored.created_at == stored.updated_at
    assert abs(stored.created_at - database_now()) < ALMOST
    for field in Execution._meta.concrete_fields:
        assert getattr(given, field.attname) == getattr(stored, field.attname), field.attname


def test_a_handle_is_as_if_read_from_the_database() -> None:
    execution = client.start_or_get(door_order, 7)[0]
    assert execution._state.db == "default"
    assert not execution._state.adding
    execution.reason = "changed"
    execution.save(update_fields=["reason"])
    assert Execution.objects.get().reason == "changed"


def test_a_start_is_one_insert(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1) as captured:
        door_order.start(7)
    assert captured[0]["sql"].strip().startswith("INSERT")


def test_a_start_with_a_free_key_is_one_insert_too(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        door_order.using(key="order-7", idempotency_key="import-7").start(7)


@pytest.mark.django_db(transaction=True)
def test_a_start_outside_of_a_transaction_is_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr("django_workflows.engine.database.notify.can_notify", lambda alias: False)
        door_order.start(7)


@pytest.mark.django_db(transaction=True)
def test_a_start_belongs_to_the_callers_transaction() -> None:
    """EXE-06, DBF-18: invisible before the commit, gone with a rollback."""
    with rolled_back():
        door_order.start(7)
        assert at_the_same_instant(1, lambda _: Execution.objects.count()) == [0]
    assert not Execution.objects.exists()
    with transaction.atomic():
        door_order.start(7)
    assert at_the_same_instant(1, lambda _: Execution.objects.count()) == [1]


def test_the_input_is_read_back_as_the_workflow_will_see_it() -> None:
    execution = door_receipt.start(date(2026, 2, 28))
    text = codec.encode(Execution.objects.get(pk=execution.id).input)
    assert codec.decode_arguments(door_receipt.fn, text, skip=1) == ([date(2026, 2, 28)], {})


def test_a_workflow_is_started_by_name() -> None:
    execution = client.start("door_import", path="orders.csv")
    assert (execution.workflow, Execution.objects.get().version) == ("door_import", 2)


def test_a_parameter_may_be_called_like_our_own() -> None:
    execution = client.start_or_get("door_anything", workflow="a", key="b", options="c", self="d")[0]
    assert execution.input == {"kwargs": {"workflow": "a", "key": "b", "options": "c", "self": "d"}}
    assert execution.key is None


def test_options_by_name() -> None:
    execution = client.start_or_get(client.using("door_order", key="order-7", queue="express"), order_id=7)[0]
    assert (execution.key, execution.queue) == ("order-7", "express")


def test_a_step_is_started_as_an_execution_of_one_step() -> None:
    execution = client.start_or_get(door_charge, 7)[0]
    assert (execution.workflow, execution.queue, execution.input) == ("door_charge", "payments", {"order_id": 7})
    by_name = client.start_or_get("door_charge", order_id=7)[0]
    assert by_name.workflow == "door_charge"


def test_a_step_keeps_its_start_options_and_its_changed_queue() -> None:
    door_charge.start(7)
    door_charge.using(key="order-7", queue="express").start(7)
    assert Execution.objects.get(key="order-7").queue == "express"


def test_a_step_that_no_worker_could_find_is_refused() -> None:
    def nameless(order_id: int) -> None: ...

    with pytest.raises(UnknownWorkflow, match="@step"):
        step(nameless, timeout=5).start(7)
    assert not Execution.objects.exists()


@pytest.mark.parametrize("workflow", ["door_nothing", len, None, 7])
def test_what_is_no_workflow_cannot_be_started(workflow: Any) -> None:
    with pytest.raises(UnknownWorkflow):
        client.start(workflow)


@pytest.mark.parametrize(
    ("args", "kwargs", "parameter"),
    [
        ((), {}, "order_id"),
        (("seven",), {}, "order_id"),
        ((7,), {"note": 1}, "note"),
        ((7,), {"colour": "red"}, "colour"),
        ((7,), {"order_id": 8}, "order_id"),
        ((7, "", 9), {}, "__all__"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], parameter: str
) -> None:
    """SER-13: rejected before a row exists."""
    with pytest.raises(InvalidInput) as caught:
        client.start("door_order", *args, **kwargs)
    assert list(caught.value.errors) == [parameter]
    assert not Execution.objects.exists()


@pytest.mark.parametrize("text", ["nul \x00", "half \ud800", float("nan"), float("inf"), object()])
def test_values_that_a_database_would_refuse_are_refused_by_name(text: Any) -> None:
    """SER-08: the same outcome on every database."""
    with pytest.raises(InvalidInput) as caught:
        door_anything.start(text=text)
    assert "kwargs" in caught.value.errors
    assert not Execution.objects.exists()


def test_input_above_the_limit_is_refused(settings: Settings) -> None:
    """SER-06: the error names the limit."""
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 200}
    with pytest.raises((PayloadError, InvalidInput), match="MAX_PAYLOAD_BYTES"):
        door_order.start(7, note="x" * 200)
    with pytest.raises(PayloadError, match="MAX_PAYLOAD_BYTES"):
        door_anything.start(*["x" * 60] * 2, **{f"argument_{number}": "x" for number in range(6)})
    assert not Execution.objects.exists()


NAMES = {
    "empty": "",
    "blank": "  ",
    "ten kilobytes": "x" * 10_000,
    "control characters": "a\x07b",
    "NUL": "a\x00b",
    "a lone surrogate": "a\ud800b",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("field", ["key", "idempotency_key", "queue"])
def test_bad_names_are_refused_by_field(field: str, name: str) -> None:
    """EXE-14: nothing is stored."""
    options: Any = {field: name}
    with pytest.raises(InvalidInput) as caught:
        door_order.using(**options).start(7)
    assert list(caught.value.errors) == [field]
    assert not Execution.objects.exists()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_bad_names_of_workflows_are_refused_by_field(name: str) -> None:
    """EXE-14."""
    with pytest.raises(InvalidInput) as caught:
        client.start(name)
    assert list(caught.value.errors) == ["workflow"]


@pytest.mark.parametrize("name", ["../etc/passwd", "שלום", "🚀 launch", "a'b\"c%s;--", "x" * 200])
def test_odd_names_are_stored_as_they_are(name: str) -> None:
    """EXE-14: accepted within the limits."""
    door_order.using(key=name, idempotency_key=name, queue=name, tags={name: name}).start(7)
    stored = Execution.objects.get()
    assert (stored.key, stored.idempotency_key, stored.queue, stored.tags) == (name, name, name, {name: name})


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"priority": 10}, "priority"),
    ({"priority": -1}, "priority"),
    ({"priority": "high"}, "priority"),
    ({"priority": True}, "priority"),
    ({"on_conflict": "ignore"}, "on_conflict"),
    ({"parent_close": "kill"}, "parent_close"),
    ({"delay": "soon"}, "delay"),
    ({"delay": timedelta(days=999_999)}, "delay"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": -1}, "timeout"),
    ({"ttl": 0}, "ttl"),
    ({"ttl": "never"}, "ttl"),
    ({"start_at": "tomorrow"}, "start_at"),
    ({"start_at": datetime(9999, 12, 31, tzinfo=UTC)}, "start_at"),
    ({"start_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 5}, "start_at"),
    ({"version": 0}, "version"),
    ({"version": 2**31}, "version"),
    ({"version": "2"}, "version"),
    ({"tags": "acme"}, "tags"),
    ({"tags": {"tenant": ["acme"]}}, "tags"),
    ({"tags": {"": "acme"}}, "tags"),
    ({"tags": {"tenant": "x" * 256}}, "tags"),
    ({"tags": {"tenant": "a\x00"}}, "tags"),
    ({"tags": {"share": float("nan")}}, "tags"),
    ({"key": 42}, "key"),
]


@pytest.mark.parametrize(("options", "field"), WRONG_OPTIONS)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        door_order.using(**options).start(7)
    assert list(caught.value.errors) == [field]
    assert not Execution.objects.exists()


def test_unknown_options_are_refused() -> None:
    with pytest.raises(DefinitionError, match="colour"):
        door_order.using(colour="red")  # type: ignore[call-arg]  # on purpose


def test_an_option_among_the_arguments_is_shown_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"key: There is no such argument.*door_order\.using\(key=…\)\.start\(…\)"):
        door_order.start(7, key="order-7")  # type: ignore[call-arg]  # the mistake


def test_a_name_that_is_nearly_right_is_corrected() -> None:
    with pytest.raises(UnknownWorkflow, match="Did you mean 'door_order'"):
        client.start("door_oder", 7)


def test_a_name_of_nothing_is_told_where_names_come_from() -> None:
    with pytest.raises(UnknownWorkflow, match=r"Known: .*They come from the modules workflows\.py of INSTALLED_APPS"):
        client.start("nonsense")


def test_a_workflow_that_is_called_says_how_it_is_started() -> None:
    with pytest.raises(TypeError, match=r"A workflow is started, not called: door_order\.start\(…\)"):
        door_order(7)  # type: ignore[call-arg]  # the mistake


def test_nothing_can_be_started_before_the_app_is_ready() -> None:
    with pytest.raises(NotInstalled, match="add 'django_workflows' to INSTALLED_APPS"):
        Ports().client.start(door_order, [7], {}, StartOptions())


def test_options_of_the_definition_are_the_defaults() -> None:
    execution = client.start_or_get(door_import, "orders.csv")[0]
    assert (execution.queue, execution.priority, execution.version) == ("bulk", 3, 2)
    assert execution.deadline == execution.created_at + timedelta(hours=1)
    assert execution.expires_at is None


def test_options_of_the_start_come_first(settings: Settings) -> None:
    settings.WORKFLOWS = {"DEFAULT_QUEUE": "everything"}
    changed = door_import.using(queue="express", priority=0, timeout=60, tags={"tenant": "acme", "vip": True})
    execution = client.start_or_get(changed, "orders.csv")[0]
    assert (execution.queue, execution.priority) == ("express", 0)
    assert execution.deadline == execution.created_at + timedelta(minutes=1)
    assert list(Execution.objects.with_tag("tenant", "acme")) == [execution]
    door_order.start(7)
    assert Execution.objects.get(workflow="door_order").queue == "everything"


def test_a_delayed_start_is_due_later() -> None:
    """EXE-09: timeout and ttl count from the delayed start."""
    delayed = door_order.using(delay="1 hour", timeout="10 minutes", ttl="5 minutes")
    execution = client.start_or_get(delayed, 7)[0]
    start = execution.created_at + timedelta(hours=1)
    assert execution.status == Status.PENDING
    assert execution.wake_at == start
    assert execution.deadline == start + timedelta(minutes=10)
    assert execution.expires_at == start + timedelta(minutes=5)
    assert not Execution.objects.due().exists()


def test_a_negative_delay_is_none() -> None:
    execution = client.start_or_get(door_order.using(delay=-5), 7)[0]
    assert execution.wake_at == execution.created_at


def test_a_start_at_a_moment() -> None:
    when = datetime(2096, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
    execution = client.start_or_get(door_order.using(start_at=when, timeout=60, ttl=30), 7)[0]
    execution.refresh_from_db()
    assert execution.wake_at == when
    assert execution.deadline == when + timedelta(seconds=60)
    assert execution.expires_at == when + timedelta(seconds=30)


def test_a_naive_moment_is_in_the_projects_time_zone(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    noon = datetime(2096, 7, 1, 12, tzinfo=UTC).replace(tzinfo=None)
    execution = client.start_or_get(door_order.using(start_at=noon), 7)[0]
    assert execution.wake_at == datetime(2096, 7, 1, 10, tzinfo=UTC)


def test_a_moment_that_has_passed_is_now() -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    execution = client.start_or_get(door_order.using(start_at=past, timeout=60), 7)[0]
    assert execution.wake_at == execution.created_at
    assert execution.deadline == execution.created_at + timedelta(seconds=60)


def test_the_longest_delay_and_timeout_stay_within_the_calendar() -> None:
    """TMR-06: no overflow."""
    longest = door_order.using(delay=timedelta(days=365_000), timeout=timedelta(days=365_000))
    execution = client.start_or_get(longest, 7)[0]
    execution.refresh_from_db()
    assert execution.deadline is not None
    assert execution.deadline.year > 3900


def test_a_version_that_nobody_serves_stays_pending() -> None:
    """VER-13: it can still be cancelled."""
    execution = client.start_or_get(door_order.using(version=9), 7)[0]
    assert (execution.version, execution.status) == (9, Status.PENDING)
    assert "cancel" in execution.allowed_verbs


@pytest.mark.parametrize("id", ["missing", "", 7, None, "\x00", UNKNOWN, str(UNKNOWN)])
def test_an_unknown_id_is_not_found(id: Any) -> None:
    """EXE-12: at once, whatever was given as an id."""
    with pytest.raises(ExecutionNotFound):
        client.get(id)
    with pytest.raises(ExecutionNotFound):
        client.result(id)
    with pytest.raises(ExecutionNotFound):
        client.signal(id, "approve")


def test_an_execution_is_found_by_its_id() -> None:
    execution = door_order.start(7)
    assert client.get(execution.id) == client.get(str(execution.id)) == client.get(execution) == execution


class Router:
    """Sends all reads to a replica that does not exist."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        return "replica"


def test_no_read_goes_to_a_replica(settings: Settings) -> None:
    """DBF-08: every read is pinned to the database that is written to."""
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    keyed = door_order.using(key="order-7", idempotency_key="import-7")
    execution = client.start_or_get(keyed, 7)[0]
    assert keyed.start(7) == execution
    assert client.start_many(door_order, [{"order_id": 7}], key=lambda _: "order-7") == [execution]
    sent = client.signal(execution, "approve", message_id="mail-1")
    assert client.signal(execution, "approve", message_id="mail-1") == sent
    published = client.send_event("order.paid", id="paid-7")
    assert client.send_event("order.paid", id="paid-7") == published
    assert client.get(execution.id) == execution
    with pytest.raises(ResultTimeout):
        client.result(execution, timeout=0)
