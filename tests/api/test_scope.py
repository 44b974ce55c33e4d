"""What lies outside a user's scope is neither found, named, made, replaced nor told of."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from django_workflows import Context, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.client import starting
from django_workflows.exceptions import WorkflowDisabled
from django_workflows.models import Execution, Status, Trigger, Workflow
from tests.api.conftest import MANAGER, OPERATOR, Api, Login
from tests.factories import make_execution, make_trigger, make_workflow

Greet = WorkflowDefinition[..., str]


def of_tenant(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Tenants have names, their things begin with them; the queue is an execution's tenant. All share api_greet."""
    model = rows.model.__name__
    if user.is_superuser:
        return rows
    if model == "Execution":
        return rows.filter(queue=user.username)
    if model == "Trigger":
        return rows.filter(workflow__startswith=user.username)
    own = rows.filter(name__startswith=user.username)
    return own | rows.filter(name="api_greet") if model == "Workflow" else own


@pytest.fixture(autouse=True)
def by_tenant(settings: Any) -> None:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope.of_tenant"}


@pytest.fixture
def acme(login: Login) -> Api:
    return login(*MANAGER, name="acme")


START = "workflows/api_greet/start"


def body(**more: Any) -> dict[str, Any]:
    return {"input": {"name": "Ada"}, "queue": "acme"} | more


# the holder of a key


@pytest.mark.parametrize("through_rpc", [False, True])
def test_a_hidden_holder_of_a_key_is_not_replaced(acme: Api, greet: Greet, through_rpc: bool) -> None:
    holder = greet.using(key="k", queue="other").start(name="Bob")
    said = body(key="k", on_conflict="cancel")

    if through_rpc:
        call = {"jsonrpc": "2.0", "id": 1, "method": "startWorkflow", "params": {"name": "api_greet"} | said}
        assert acme.post("rpc", call).json()["error"]["code"] == -32003
    else:
        assert acme.post(START, said).status_code == 403

    holder.refresh_from_db()
    assert (holder.status, Execution.objects.get().key_released) == (Status.PENDING, False)


def test_a_holder_that_may_be_seen_but_not_controlled_is_not_replaced(login: Login, greet: Greet) -> None:
    holder = greet.using(key="k", queue="viewer").start(name="Bob")
    viewer = login(*(set(OPERATOR) - {"control_execution"}), name="viewer")

    answer = viewer.post(START, body(key="k", on_conflict="cancel", queue="viewer"))

    assert answer.status_code == 403
    assert "control_execution" in answer.json()["detail"]
    holder.refresh_from_db()
    assert holder.status == Status.PENDING
    assert Execution.objects.count() == 1


def test_the_same_holds_where_there_is_no_scope(login: Login, greet: Greet, settings: Any) -> None:
    settings.WORKFLOWS = {}
    holder = greet.using(key="k").start(name="Bob")
    starter = login("start_execution", name="starter")

    assert starter.post(START, {"input": {"name": "x"}, "key": "k", "on_conflict": "cancel"}).status_code == 403
    holder.refresh_from_db()
    assert holder.status == Status.PENDING


def test_who_may_cancel_the_holder_replaces_it(acme: Api, greet: Greet) -> None:
    holder = greet.using(key="k", queue="acme").start(name="Bob")

    answer = acme.post(START, body(key="k", on_conflict="cancel"))

    assert answer.status_code == 201
    holder.refresh_from_db()
    assert holder.status == Status.CANCELLED
    assert Execution.objects.get(key="k", key_released=False).id != holder.id


def test_a_holder_that_came_meanwhile_is_asked_about_as_well(greet: Greet) -> None:
    """The one that was looked at finished, and another took the key before it could be replaced."""
    first = greet.using(key="k").start(name="first")
    asked: list[str] = []

    def may_replace(holder: Execution) -> None:
        asked.append(holder.input["name"])
        if len(asked) == 1:
            first.cancel()
            greet.using(key="k").start(name="second")
        else:
            raise PermissionError("not this one")

    with pytest.raises(PermissionError):
        starting.start(
            greet, (), {"name": "third"}, greet.using(key="k", on_conflict="cancel").start_options, may_replace
        )

    assert asked == ["first", "second"]
    assert Execution.objects.get(key="k", completed_at=None).input == {"name": "second"}


def test_nothing_is_cancelled_for_a_workflow_that_was_switched_off_meanwhile(greet: Greet) -> None:
    holder = greet.using(key="k").start(name="first")

    def switch_off(_holder: Execution) -> None:
        Workflow.objects.filter(name="api_greet").update(enabled=False)

    with pytest.raises(WorkflowDisabled):
        starting.start(greet, (), {"name": "b"}, greet.using(key="k", on_conflict="cancel").start_options, switch_off)

    holder.refresh_from_db()
    assert holder.status == Status.PENDING
    assert not Execution.objects.get().key_released


def test_a_retry_does_not_tell_who_has_the_key_now(acme: Api, greet: Greet) -> None:
    failed = make_execution(Status.FAILED, workflow="api_greet", key="k", queue="acme")
    hidden = make_execution(workflow="api_greet", key="k", queue="other")

    answer = acme.post(f"executions/{failed.id}/retry")

    assert answer.status_code == 403
    assert str(hidden.id) not in answer.content.decode()


def test_an_idempotency_key_of_somebody_hidden_is_refused(acme: Api, greet: Greet) -> None:
    hidden = greet.using(idempotency_key="i", queue="other").start(name="Bob")

    answer = acme.post(START, body(), Idempotency_Key="i")

    assert answer.status_code == 403
    assert str(hidden.id) not in answer.content.decode()


# what is made


def test_nobody_starts_what_he_could_not_see(acme: Api, greet: Greet) -> None:
    answer = acme.post(START, body(queue="other"))

    assert answer.status_code == 403
    assert not Execution.objects.exists()


def test_a_replacement_that_could_not_be_seen_replaces_nothing(acme: Api, greet: Greet) -> None:
    holder = greet.using(key="k", queue="acme").start(name="Bob")

    assert acme.post(START, body(key="k", on_conflict="cancel", queue="other")).status_code == 403
    holder.refresh_from_db()
    assert holder.status == Status.PENDING
    assert Execution.objects.get().key_released is False


def test_what_is_taken_outside_and_what_would_be_made_outside_have_one_answer(acme: Api, greet: Greet) -> None:
    greet.using(key="k", queue="other").start(name="Bob")

    taken = acme.post(START, body(key="k"))
    made = acme.post(START, body(key="free", queue="other"))

    assert taken.json() == made.json()


def test_a_trigger_of_a_hidden_workflow_is_not_fired(login: Login, settings: Any, greet: Greet) -> None:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope.all_triggers"}
    make_workflow("hidden")
    trigger = make_trigger(workflow="hidden", config={})

    assert login(*MANAGER, name="acme").post(f"triggers/{trigger.id}/fire", {}).status_code == 400
    assert not Execution.objects.exists()


def test_firing_makes_nothing_outside_the_scope(acme: Api, greet: Greet) -> None:
    trigger = make_trigger(workflow="acme_of_another", config={})
    make_workflow("acme_of_another")

    @workflow(name="acme_of_another", queue="other")
    def acme_of_another(ctx: Context) -> None: ...

    assert acme.post(f"triggers/{trigger.id}/fire", {}).status_code == 403
    assert not Execution.objects.exists()


def all_triggers(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if rows.model is Trigger else of_tenant(user, rows)
