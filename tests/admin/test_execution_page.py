"""The page of one execution in the admin."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_workflows.admin import detail
from django_workflows.models import Event, EventType, Execution, Signal, Status, StepKind, StepResult, StepStatus
from tests.admin.conftest import Login
from tests.factories import (
    ERROR,
    ahead,
    damage,
    make_execution,
    make_log,
    make_signal,
    make_step,
    make_trigger,
    make_wait,
)


def url(execution: Execution, what: str = "change", *more: str) -> str:
    return reverse(f"admin:django_workflows_execution_{what}", args=[execution.pk, *more])


def page(client: Client, execution: Execution, **query: str) -> str:
    response = client.get(url(execution), query)
    assert response.status_code == 200
    return response.content.decode()


def failed() -> Execution:
    execution = make_execution(
        Status.FAILED, input={"order_id": 42}, state={"phase": "charging"}, key="order-42", tags={"tenant": "acme"}
    )
    make_step(execution, "reserve", output={"shelf": "row 7b"}, input=[42])
    make_step(execution, "charge", StepStatus.FAILED, attempts=3)
    make_log(execution, EventType.ERROR, "charge", {"step": "2", "attempt": 1, "error": ERROR})
    return execution


def test_the_page_shows_what_happened_and_what_was_said(operator: Client) -> None:
    html = page(operator, failed())

    for text in ("order-42", "tenant=acme", "charging", "order_id", "row 7b", "card 4711 declined", "shop.py"):
        assert text in html
    for text in ("Step reserve succeeded", "Step charge: attempt 1 failed: ProviderError", "after 3 attempts"):
        assert text in html


def test_who_may_not_see_payloads_sees_the_course_of_things_only(login: Login) -> None:
    execution = failed()
    Execution.objects.filter(pk=execution.pk).update(reason="card 4711 declined")

    html = page(login(), execution)

    for secret in ("4711", "row 7b", "order_id", "charging", "shop.py"):
        assert secret not in html
    for text in ("reserve", "ProviderError", "Step reserve succeeded", "order-42"):
        assert text in html


def test_a_paused_execution_gives_its_reason(operator: Client) -> None:
    assert "waiting for the supplier" in page(operator, make_execution(Status.PAUSED))


def test_a_button_is_there_when_the_verb_applies_and_the_user_may(operator: Client, login: Login) -> None:
    expected = {
        Status.PENDING: {"pause", "cancel"},
        Status.RUNNING: {"pause", "cancel"},
        Status.PAUSED: {"resume", "cancel"},
        Status.FAILED: {"retry"},
        Status.COMPLETED: set(),
        Status.CANCELLED: set(),
    }
    nobody = login()
    for status, verbs in expected.items():
        execution = make_execution(status)
        html = page(operator, execution)
        offered = {
            verb
            for verb in ("pause", "resume", "retry", "cancel")
            if f'formaction="{url(execution, "verb", verb)}"' in html
        }
        assert offered == verbs, status
        assert ("Send a signal" in html) == (status not in {Status.FAILED, Status.COMPLETED, Status.CANCELLED})
        assert "formaction" not in page(nobody, execution)


def test_a_button_does_what_it_says_and_leaves_an_entry_in_the_audit_log(operator: Client) -> None:
    execution = make_execution()

    response = operator.post(url(execution, "verb", "pause"), {"reason": "out of stock"}, follow=True)

    assert "Pause: 1 execution." in response.content.decode()
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == (Status.PAUSED, "out of stock")
    assert LogEntry.objects.get(object_id=str(execution.pk)).change_message == "Pause: out of stock"
    assert Event.objects.get(execution=execution).data["by"] == "op"
    assert "Pause, by op" in page(operator, execution)


def test_a_verb_that_does_not_apply_changes_nothing_and_says_so(operator: Client) -> None:
    """PAU-09"""
    execution = make_execution(Status.COMPLETED)

    response = operator.post(url(execution, "verb", "retry"), follow=True)

    assert "Cannot retry an execution that is completed" in response.content.decode()
    assert not LogEntry.objects.exists()


def test_verbs_need_the_permission_the_post_and_a_name(operator: Client, login: Login) -> None:
    execution = make_execution()

    assert login("view_payload").post(url(execution, "verb", "pause")).status_code == 403
    assert operator.get(url(execution, "verb", "pause")).status_code == 405
    assert operator.post(url(execution, "verb", "erase")).status_code == 404
    assert Client(enforce_csrf_checks=True).post(url(execution, "verb", "pause")).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator.get(url(execution)).context["user"])
    assert strict.post(url(execution, "verb", "pause")).status_code == 403
    execution.refresh_from_db()
    assert execution.status == Status.PENDING


def test_a_permission_without_that_of_looking_opens_nothing(login: Login) -> None:
    execution = make_execution()
    client = login("control_execution")
    client.get(url(execution))
    user = client.get(url(execution)).context["user"]
    user.user_permissions.remove(*user.user_permissions.filter(codename="view_execution"))

    assert client.get(url(execution)).status_code == 403
    assert client.post(url(execution, "verb", "pause")).status_code == 403


def test_an_execution_that_is_not_there_leads_back(operator: Client) -> None:
    for name in (str(uuid4()), "nonsense"):
        response = operator.get(reverse("admin:django_workflows_execution_change", args=[name]), follow=True)
        assert "doesn’t exist" in response.content.decode()
    gone = reverse("admin:django_workflows_execution_verb", args=[uuid4(), "pause"])
    assert operator.post(gone).status_code == 302


def test_nothing_can_be_edited_by_hand(operator: Client) -> None:
    execution = make_execution()

    assert operator.post(url(execution), {"status": "completed"}).status_code == 405
    assert operator.get(reverse("admin:django_workflows_execution_add")).status_code == 403
    html = page(operator, execution)
    assert 'name="status"' not in html


def test_a_signal_is_sent_from_a_form(operator: Client) -> None:
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.SIGNAL, "approved")

    response = operator.post(url(execution, "signal"), {"name": "approved", "payload": '{"by": "ada"}'}, follow=True)

    assert "Signal approved was sent." in response.content.decode()
    signal = Signal.objects.get(execution=execution)
    assert (signal.name, signal.data) == ("approved", {"by": "ada"})
    assert LogEntry.objects.get(object_id=str(execution.pk)).change_message == "Signal approved was sent."


@pytest.mark.parametrize(
    ("name", "payload", "complaint"),
    [
        ("approved", "{by: ada}", "Enter a valid JSON."),
        ("", "1", "This field is required."),
        ("approved", "NaN", "NaN"),
        ("approved", '"\\u0000"', "Null characters"),
        ("\u200b\u0001", "1", "control characters"),
    ],
)
def test_a_signal_that_cannot_be_sent_is_shown_again(operator: Client, name: str, payload: str, complaint: str) -> None:
    execution = make_execution()

    response = operator.post(url(execution, "signal"), {"name": name, "payload": payload})

    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert not Signal.objects.exists()


def test_a_signal_to_one_that_has_ended_is_refused(operator: Client) -> None:
    execution = make_execution(Status.COMPLETED)

    response = operator.post(url(execution, "signal"), {"name": "approved", "payload": ""})

    assert "signal" not in execution.allowed_verbs
    assert response.status_code == 200
    assert not Signal.objects.exists()
    assert "Cannot signal an execution that is completed" in response.content.decode()


def test_unread_signals_are_shown(operator: Client, login: Login) -> None:
    execution = make_execution()
    make_signal(execution, "approved", {"by": "grace"})
    make_signal(execution, "old", consumed_at=ahead(seconds=0))

    html = page(operator, execution)
    unread = html[html.index("Unread signals") : html.index("Send a signal")]

    assert "approved" in unread
    assert "grace" in unread
    assert "old" not in unread
    assert "grace" not in page(login(), execution)


def test_a_damaged_row_can_be_opened(operator: Client) -> None:
    """SER-10"""
    execution = make_execution(Status.FAILED)
    step = make_step(execution, status=StepStatus.FAILED)
    for column in ("input", "output", "state", "error"):
        damage(execution, column, "{no <json>")
    for column in ("input", "output", "error"):
        damage(step, column, "{no <json>")
    damage(make_log(execution, EventType.ERROR, "charge"), "data", "{no <json>")

    html = page(operator, execution)

    assert "damaged" in html
    assert "{no &lt;json&gt;" in html
    assert operator.get(reverse("admin:django_workflows_stepresult_change", args=[step.pk])).status_code == 200


def test_what_is_in_a_row_cannot_break_out_of_the_page(operator: Client) -> None:
    evil = "</pre><script>alert(1)</script>"
    error = {"type": evil, "message": evil, "traceback": evil}
    execution = make_execution(
        Status.PAUSED,
        workflow=evil,
        key=evil,
        reason=evil,
        input=evil,
        state={evil: evil},
        tags={evil: evil},
        current_step=evil,
    )
    make_step(execution, evil, StepStatus.FAILED, key=evil, error=error, output=evil, input=evil)
    make_log(execution, EventType.OPERATOR, evil, {"by": evil, evil: evil})
    make_signal(execution, evil, evil)

    assert "<script>alert(1)" not in page(operator, execution)


def test_a_long_journal_is_shown_a_page_at_a_time_the_end_first(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "STEPS", 2)
    monkeypatch.setattr(detail, "HISTORY", 3)
    execution = make_execution(Status.RUNNING)
    for number in range(1, 6):
        make_step(execution, f"step-{number}", output=number)

    html = page(operator, execution)
    journal = html[html.index("Journal") : html.index("Send a signal")]

    assert "step-5" in journal
    assert "step-1" not in journal
    assert "5 to 5 of 5" in journal
    assert "step-1" in page(operator, execution, steps="1")
    assert page(operator, execution, steps="nonsense")
    assert "Step step-1 started" not in html
    response = operator.get(url(execution))
    earlier = operator.get(url(execution), {"before": response.context["older"]}).context["history"]
    assert len(earlier) == 3
    assert page(operator, execution, before="nonsense")


def test_a_large_payload_is_cut_on_the_page_and_whole_on_the_page_of_the_step(operator: Client) -> None:
    execution = make_execution(Status.RUNNING)
    step = make_step(execution, output="x" * 5_000 + "the very end")

    assert "the very end" not in page(operator, execution)
    assert "Cut here" in page(operator, execution)
    whole = operator.get(reverse("admin:django_workflows_stepresult_change", args=[step.pk]))
    assert "the very end" in whole.content.decode()


def test_the_page_costs_the_same_for_a_long_journal(operator: Client) -> None:
    def cost(execution: Execution) -> int:
        page(operator, execution)
        with CaptureQueriesContext(connection) as queries:
            page(operator, execution)
        return len(queries)

    short, long = make_execution(Status.RUNNING), make_execution(Status.RUNNING)
    make_step(short)
    for _ in range(30):
        make_step(long)

    assert cost(long) == cost(short)


def test_parent_and_children_are_linked(operator: Client) -> None:
    parent = make_execution(Status.WAITING)
    make_wait(parent, StepKind.CHILD, "ship")
    child = Execution.objects.get(parent=parent)

    assert url(child) in page(operator, parent)
    assert url(parent) in page(operator, child)


def test_what_started_it_is_linked_in_words(operator: Client) -> None:
    trigger = make_trigger("order.*", config={"where": {"country": "<DE>"}})
    event = Event.objects.create(type=EventType.EVENT, name="order.created", created_at=ahead(), deliver_at=ahead())
    started = make_execution(trigger_id=trigger.pk, idempotency_key=f"trigger:{trigger.pk}:{event.pk}")

    html = page(operator, started)

    assert reverse("admin:django_workflows_trigger_change", args=[trigger.pk]) in html
    assert "order.* (country = &quot;&lt;DE&gt;&quot;)" in html
    assert reverse("admin:django_workflows_event_change", args=[event.pk]) in html


def test_a_trigger_that_is_gone_or_not_to_be_seen_is_an_id(operator: Client, login: Login) -> None:
    trigger = make_trigger("order.*", type="schedule")
    started = make_execution(trigger_id=trigger.pk, idempotency_key=f"schedule:{trigger.pk}:2026-01-01T00:00:00+00:00")
    client, user = login(name="limited"), User.objects.get(username="limited")
    user.user_permissions.remove(Permission.objects.get(codename="view_trigger"))

    assert f"<dd>{trigger.pk}</dd>" in page(client, started)
    trigger.delete()
    assert f"{started.trigger_id}, which was removed" in page(operator, started)


def test_a_finished_execution_is_deleted_with_its_journal_and_its_children_live_on(
    operator: Client, login: Login
) -> None:
    execution = make_execution(Status.WAITING)
    child = make_execution(parent=execution)
    make_signal(execution)
    make_step(execution)
    make_log(execution, EventType.ERROR, "charge")
    Execution.objects.filter(pk=execution.pk).update(status=Status.COMPLETED, completed_at=child.created_at)
    kept = make_step(child)

    assert login().post(url(execution, "delete"), {"post": "yes"}).status_code == 403
    asked = operator.get(url(execution, "delete")).content.decode()
    operator.post(url(execution, "delete"), {"post": "yes"})

    assert "1 execution" in asked.replace("Executions: 1", "1 execution").replace("executions: 1", "1 execution")
    assert set(Execution.objects.all()) == {child}
    assert set(StepResult.objects.all()) == {kept}
    assert not Signal.objects.exists()
    assert not Event.objects.exists()
    assert page(operator, child)


def test_an_unfinished_execution_cannot_be_deleted(operator: Client) -> None:
    execution = make_execution(Status.PAUSED)

    assert operator.post(url(execution, "delete"), {"post": "yes"}).status_code == 403
    assert url(execution, "delete") not in page(operator, execution)
    assert Execution.objects.filter(pk=execution.pk).exists()


def test_how_long_it_took_is_told(operator: Client) -> None:
    execution = make_execution(Status.COMPLETED)
    Execution.objects.filter(pk=execution.pk).update(
        completed_at=execution.started_at + timedelta(minutes=1, seconds=30)  # type: ignore[operator]  # it has started
    )

    assert "1 min 30 s" in page(operator, execution)


def test_who_did_what_is_a_page(operator: Client) -> None:
    execution = make_execution()
    operator.post(url(execution, "verb", "pause"), {"reason": "out of stock"})

    assert "Pause: out of stock" in operator.get(url(execution, "history")).content.decode()
