"""The list of executions in the admin."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_workflows.admin.base import BoundedPaginator
from django_workflows.models import Execution, Status, StepKind
from tests.admin.conftest import Login
from tests.factories import ago, damage, make_execution, make_retry, make_wait, make_worker, make_workflow

LIST = "admin:django_workflows_execution_changelist"


def page(client: Client, **query: Any) -> str:
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return response.content.decode()


def found(client: Client, **query: Any) -> set[Execution]:
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return set(response.context["cl"].result_list)


def act(client: Client, action: str, *executions: Execution, **more: str) -> str:
    data = {"action": action, "_selected_action": [execution.pk for execution in executions], **more}
    response = client.post(reverse(LIST), data, follow=True)
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


def test_each_row_tells_its_status_and_why_it_waits(operator: Client) -> None:
    waiting, failed = make_execution(Status.WAITING), make_execution(Status.FAILED, key="order-42")
    make_retry(waiting, "gone")

    html = page(operator)

    assert '<span class="workflows-badge workflows-waiting">waiting</span>' in html
    assert "gone: retry 3 in 12 s" in html
    assert "order-42" in html
    assert "ProviderError: card 4711 declined" in html
    assert reverse("admin:django_workflows_execution_change", args=[failed.pk]) in html


def test_who_may_not_see_payloads_sees_no_message_of_an_error(login: Login) -> None:
    make_execution(Status.FAILED)
    make_execution(Status.PAUSED, reason="Step 'charge' failed: card 4711")

    html = page(login())

    assert "ProviderError" in html
    assert "4711" not in html


def test_a_row_costs_no_query_of_its_own(operator: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(operator)
        return len(queries)

    make_wait(make_execution(Status.WAITING), StepKind.SIGNAL, "approved")
    make_execution()
    page(operator)  # what is cached
    few = cost()
    for _ in range(20):
        make_wait(make_execution(Status.WAITING), StepKind.SIGNAL, "approved")

    assert cost() == few


def test_no_query_counts_or_reads_the_whole_table(operator: Client) -> None:
    for _ in range(3):
        make_execution()
    with CaptureQueriesContext(connection) as queries:
        page(operator)

    counting = [
        query["sql"] for query in queries if "COUNT(" in query["sql"] and "django_workflows_execution" in query["sql"]
    ]
    assert counting
    assert all("LIMIT 10001" in sql or "partition by" in sql.lower() for sql in counting)
    assert not any("DISTINCT" in query["sql"] for query in queries if "django_workflows_execution" in query["sql"])


def test_beyond_the_bound_the_list_says_that_there_is_more(operator: Client) -> None:
    for _ in range(5):
        make_execution()
    with patch.object(BoundedPaginator, "most", 3):
        html = page(operator)

    assert "There are more than 3" in html
    assert "There are more than" not in page(operator)


def test_filters_by_status_workflow_and_queue(operator: Client) -> None:
    """OBS-01"""
    make_workflow("fulfil")
    make_workflow("invoice")
    failed, invoice = make_execution(Status.FAILED), make_execution(workflow="invoice")
    bulk = make_execution(queue="bulk")

    assert found(operator, status__exact="failed") == {failed}
    assert found(operator, workflow="invoice") == {invoice}
    assert found(operator, queue="bulk") == {bulk}
    assert found(operator, workflow="gone") == set()
    html = page(operator)
    assert "?workflow=invoice" in html
    assert "?queue=bulk" in html


def test_search_by_id_or_key_or_the_beginning_of_one(operator: Client) -> None:
    one, two = make_execution(key="order-42"), make_execution(key="order-43")
    hexadecimal = make_execution(key="cafe-1")

    assert found(operator, q=str(one.id)) == {one}
    assert found(operator, q=f" {str(one.id)[:13].upper()} ") == {one}
    assert found(operator, q="order-42") == {one}
    assert found(operator, q="order-") == {one, two}
    assert found(operator, q="cafe") == {hexadecimal}
    assert found(operator, q="rder-42") == set()
    assert found(operator, q="%") == set()


def test_the_dates_lead_to_a_day_without_reading_every_row(operator: Client) -> None:
    today, old = make_execution(), make_execution(Status.COMPLETED, created_at=ago(days=800))

    html = page(operator)
    assert f"?created_at__year={today.created_at.year}" in html
    assert f"?created_at__year={old.created_at.year}" in html

    year, month, day = old.created_at.year, old.created_at.month, old.created_at.day
    chosen = {"created_at__year": year}
    assert f"created_at__month={month}" in page(operator, **chosen)
    chosen |= {"created_at__month": month}
    assert f"created_at__day={day}" in page(operator, **chosen)
    assert found(operator, **chosen, created_at__day=day) == {old}
    assert f"{year:04}-{month:02}-{day:02}" in page(operator, **chosen, created_at__day=day)


def test_a_nonsensical_date_is_no_error_of_the_server(operator: Client) -> None:
    make_execution()

    for value in ("0", "99999", "x"):
        assert operator.get(reverse(LIST), {"created_at__year": value}).status_code in (200, 302)
    assert operator.get(reverse(LIST), {"created_at__year": "2026", "created_at__month": "13"}).status_code in (
        200,
        302,
    )


def test_an_action_tells_how_many_worked_and_why_the_others_did_not(operator: Client) -> None:
    """PAU-09"""
    pending, other, done = make_execution(), make_execution(), make_execution(Status.COMPLETED)

    said = act(operator, "pause_selected", pending, other, done, reason="out of stock")

    assert "Pause: 2 executions." in said
    assert f"Pause did not apply to 1 execution: {done}: Cannot pause an execution that is completed" in said
    pending.refresh_from_db()
    assert (pending.status, pending.reason) == (Status.PAUSED, "out of stock")
    done.refresh_from_db()
    assert done.status == Status.COMPLETED


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("pause", Status.WAITING, Status.PAUSED),
        ("resume", Status.PAUSED, Status.PENDING),
        ("cancel", Status.PAUSED, Status.CANCELLED),
        ("retry", Status.FAILED, Status.PENDING),
    ],
)
def test_every_verb_is_an_action_with_an_entry_in_the_audit_log(
    operator: Client, verb: str, before: Status, after: Status
) -> None:
    execution = make_execution(before)
    if before is Status.WAITING:
        make_wait(execution, StepKind.SIGNAL, "approved")

    act(operator, f"{verb}_selected", execution, reason="so it was decided")

    execution.refresh_from_db()
    assert execution.status == after
    entry = LogEntry.objects.get(object_id=str(execution.pk))
    assert entry.user.get_username() == "op"
    assert entry.change_message == f"{verb.capitalize()}: so it was decided"


def test_without_the_permission_there_are_no_actions(login: Login) -> None:
    execution = make_execution()
    client = login()

    assert "pause_selected" not in page(client)
    act(client, "pause_selected", execution)

    execution.refresh_from_db()
    assert execution.status == Status.PENDING


def test_a_reason_that_cannot_be_stored_is_told(operator: Client) -> None:
    execution = make_execution()

    said = act(operator, "pause_selected", execution, reason="a\x00b")

    execution.refresh_from_db()
    assert execution.status == Status.PENDING
    assert said


def test_what_is_in_a_row_cannot_break_out_of_the_page(operator: Client) -> None:
    evil = "<script>alert(1)</script>"
    make_execution(Status.FAILED, workflow=evil, key=evil, error={"type": evil, "message": evil})
    make_execution(Status.PAUSED, reason=evil)
    make_workflow(evil)

    assert evil not in page(operator)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page(operator)


def test_a_damaged_row_can_be_listed(operator: Client) -> None:
    """SER-10"""
    execution = make_execution(Status.FAILED)
    for column in ("input", "output", "state", "error"):
        damage(execution, column)

    assert "{no json" in page(operator)


def test_finished_executions_can_be_deleted_and_others_are_left_out(operator: Client) -> None:
    done, waiting = make_execution(Status.COMPLETED), make_execution(Status.WAITING)
    child = make_execution(parent=done)
    make_wait(waiting, StepKind.SIGNAL, "approved")

    data = {"action": "delete_selected", "_selected_action": [done.pk, waiting.pk]}
    asked = operator.post(reverse(LIST), data)
    said = act(operator, "delete_selected", done, waiting, post="yes")

    assert "Are you sure" in asked.content.decode()
    assert "1 execution is left out" in said
    assert set(Execution.objects.all()) == {waiting, child}


def test_who_may_not_delete_is_not_offered_it(login: Login) -> None:
    execution = make_execution(Status.COMPLETED)
    client = login("control_execution")

    act(client, "delete_selected", execution, post="yes")

    assert Execution.objects.filter(pk=execution.pk).exists()


def test_the_page_works_without_scripts_and_styles_of_its_own(operator: Client) -> None:
    make_worker()
    make_execution(Status.FAILED)

    html = page(operator)
    ours = html[html.index('id="result_list"') :]

    assert "django_workflows/admin.css" in html
    assert " style=" not in ours
    assert " onclick=" not in ours
