"""Looking at executions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.models import Execution, Status, StepKind, StepStatus
from tests.api.conftest import Api, Login
from tests.factories import ERROR, ago, damage, make_execution, make_log, make_step, make_wait


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def all_pages(api: Api, path: str) -> list[str]:
    """The ids on all pages, following `next`."""
    found = []
    while path:
        answer = api.get(path)
        found += ids(answer)
        path = answer.json()["next"]
    return found


def test_executions_are_listed_newest_first_without_payloads(viewer: Api) -> None:
    """OBS-01"""
    old = make_execution(Status.COMPLETED, created_at=ago(hours=2), input={"card": "4711"})
    new = make_execution(Status.FAILED, created_at=ago(hours=1))

    answer = viewer.get("executions")

    assert ids(answer) == [str(new.id), str(old.id)]
    assert "4711" not in answer.content.decode()
    assert answer.json()["results"][0]["error"] == {"type": "ProviderError"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_pages_hold_every_execution_once_also_those_of_one_instant(viewer: Api) -> None:
    """OBS-01"""
    moment = ago(hours=1).replace(microsecond=0)
    made = {str(make_execution(created_at=moment).id) for _ in range(7)} | {str(make_execution().id)}

    found = all_pages(viewer, "executions?limit=3")

    assert len(found) == 8
    assert set(found) == made


def test_a_page_stays_when_new_executions_come(viewer: Api) -> None:
    first = [make_execution(created_at=ago(hours=number)) for number in range(1, 5)]
    page = viewer.get("executions?limit=2").json()
    make_execution()

    assert ids(viewer.get(page["next"])) == [str(row.id) for row in first[2:]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("workflow=ship", ["b"]),
        ("status=failed", ["b"]),
        ("key=order-1", ["a"]),
        ("tag=tenant:acme", ["a"]),
        ("tag=size:5", ["a"]),
        ("tag=rush:true", ["c"]),
        ("tag=size:9.9e999", []),
        ("tag=size:5.0", ["a"]),
        ("tag=tenant:acme&tag=size:6", []),
        ("workflow=fulfil&status=pending", ["a", "c"]),
        ("created_after=2000-01-01T00:00:00%2B01:00", ["a", "b", "c"]),
        ("created_before=2000-01-01T00:00:00+01:00", []),
    ],
)
def test_executions_are_found_by(viewer: Api, query: str, expected: list[str]) -> None:
    """OBS-01"""
    make_execution(workflow="fulfil", key="order-1", tags={"tenant": "acme", "size": 5}, queue="a")
    make_execution(Status.FAILED, workflow="ship", queue="b")
    make_execution(workflow="fulfil", tags={"rush": True}, queue="c")

    answer = viewer.get(f"executions?{query}")

    assert sorted(row["queue"] for row in answer.json()["results"]) == expected


def test_children_are_found_by_their_parent(viewer: Api) -> None:
    parent = make_execution()
    child = make_execution(parent=parent)

    assert ids(viewer.get(f"executions?parent={parent.id}")) == [str(child.id)]


def test_a_text_in_errors_is_looked_for_in_slices(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_workflows.api.actions.executions.SEARCHED", 2)
    wanted = [make_execution(Status.FAILED, created_at=ago(hours=number)) for number in (1, 5)]
    for number in (2, 3, 4):
        make_execution(Status.FAILED, created_at=ago(hours=number), error={"type": "Timeout", "message": "no answer"})

    assert all_pages(operator, "executions?error=4711 DECLINED") == [str(row.id) for row in wanted]
    assert all_pages(operator, "executions?error=4711&limit=1") == [str(row.id) for row in wanted]


def test_a_search_in_errors_needs_the_permission_to_see_them(viewer: Api) -> None:
    """Else it would be an oracle for what stands there."""
    make_execution(Status.FAILED)

    assert viewer.get("executions?error=4711").status_code == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=lost", "status"),
        ("stauts=failed", "stauts"),
        ("parent=42", "parent"),
        ("limit=0", "limit"),
        ("limit=100000", "limit"),
        ("limit=many", "limit"),
        ("cursor=AAAA", "cursor"),
        ("cursor=W10", "cursor"),
        ("created_after=yesterday", "created_after"),
        ("tag=tenant", "tag"),
        ("key=%00", "key"),
        ("workflow=", "workflow"),
        ("error=x", "error"),
    ],
)
def test_a_query_that_cannot_be_is_told_by_field(operator: Api, query: str, field: str) -> None:
    answer = operator.get(f"executions?{query}")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


def test_a_page_has_a_limit_that_nobody_can_lift(viewer: Api, settings: Any) -> None:
    settings.WORKFLOWS = {"API_MAX_PAGE_SIZE": 2, "API_PAGE_SIZE": 50}
    for _ in range(3):
        make_execution()

    assert len(ids(viewer.get("executions"))) == 2
    assert viewer.get("executions?limit=3").status_code == 400


def test_one_execution_tells_why_it_waits(operator: Api, viewer: Api) -> None:
    execution = make_execution(Status.WAITING, input={"order": 42}, state={"phase": "charging"}, reason="secret 4711")
    make_wait(execution, StepKind.SIGNAL, "delivered")

    document = operator.get(f"executions/{execution.id}").json()
    hidden = viewer.get(f"executions/{execution.id}/").json()

    assert document["input"] == {"order": 42}
    assert document["state"] == {"phase": "charging"}
    assert "delivered" in document["why"]
    assert document["allowed"] == ["pause", "cancel", "signal"]
    assert not {"input", "output", "state", "reason"} & hidden.keys()


def test_large_numbers_are_not_rounded(operator: Api) -> None:
    """SER-01"""
    execution = make_execution(Status.COMPLETED, output={"big": 2**80, "small": 1e-9})

    assert operator.get(f"executions/{execution.id}").json()["output"] == {"big": 2**80, "small": 1e-9}


def test_a_damaged_row_is_shown_as_it_is(operator: Api) -> None:
    """SER-10"""
    execution = make_execution(Status.FAILED)
    damage(execution, "error")

    assert operator.get("executions").json()["results"][0]["error"]["message"] == "{no json"
    assert operator.get(f"executions/{execution.id}").status_code == 200


@pytest.mark.parametrize("id", ["42", "..", "0" * 32 + "x", "00000000-0000-0000-0000-000000000000", "%00", "ünïcode"])
@pytest.mark.parametrize("tail", ["", "/history", "/steps", "/timeline"])
def test_an_id_that_is_none_is_not_found(operator: Api, id: str, tail: str) -> None:
    """EXE-12"""
    if id == "..":
        return
    answer = operator.get(f"executions/{id}{tail}")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith("not-found")


def test_the_history_comes_in_pages_and_hides_its_data(operator: Api, viewer: Api) -> None:
    """OBS-02"""
    execution = make_execution(Status.COMPLETED)
    make_step(execution, "charge")
    make_log(execution, "error", "charge", {"step": "1", "attempt": 1, "error": ERROR})

    path: str | None = f"executions/{execution.id}/history?limit=2"
    items = []
    while path:
        page = operator.get(path).json()
        items += page["results"]
        path = page["next"]
    hidden = viewer.get(f"executions/{execution.id}/history")

    assert len({item["title"] for item in items}) == len(items) == 6
    assert "4711" in str(items)
    assert "4711" not in hidden.content.decode()


@pytest.mark.parametrize(
    "cursor", ["x", "0001-01-01T00:00:00+10:00~0~" + "0" * 32, "9999-12-31T23:00:00-10:00~0~" + "0" * 32]
)
def test_a_position_that_is_none_is_told(operator: Api, cursor: str) -> None:
    execution = make_execution()

    assert operator.get(f"executions/{execution.id}/history?cursor={cursor}").status_code == 400


def test_steps_come_in_pages_with_their_payloads_for_those_who_may(operator: Api, viewer: Api) -> None:
    """OBS-02"""
    execution = make_execution(Status.FAILED)
    steps = [make_step(execution, f"step-{number}", output={"card": "4711"}) for number in range(3)]
    failed = make_step(execution, "last", StepStatus.FAILED)

    path = f"executions/{execution.id}/steps"
    assert all_pages(operator, f"{path}?limit=2") == [str(step.id) for step in [*steps, failed]]
    assert "4711" in operator.get(path).content.decode()
    assert "4711" not in viewer.get(path).content.decode()
    assert viewer.get(path).json()["results"][3]["error"] == {"type": "ProviderError"}


def test_the_timeline_has_a_span_for_each_step(viewer: Api) -> None:
    execution = make_execution(Status.WAITING)
    make_step(execution, "charge")
    make_wait(execution, StepKind.SLEEP)

    document = viewer.get(f"executions/{execution.id}/timeline").json()

    assert [span["kind"] for span in document["spans"]] == ["workflow", "step", "sleep"]
    assert [span["end"] is None for span in document["spans"]] == [True, False, True]
    assert document["complete"]


def test_lists_cost_the_same_whatever_their_length(
    login: Login, django_assert_max_num_queries: Any, greet: WorkflowDefinition[..., str]
) -> None:
    root = login(name="root", superuser=True)
    executions = [make_execution(Status.WAITING) for _ in range(20)]
    for execution in executions:
        make_wait(execution, StepKind.SIGNAL, "go")
    with django_assert_max_num_queries(4):  # session, user, how large the rows are, rows
        assert len(ids(root.get("executions"))) == 20
    with django_assert_max_num_queries(7):  # … and why it waits
        root.get(f"executions/{executions[0].id}")
    with django_assert_max_num_queries(5):
        root.get(f"executions/{executions[0].id}/steps")
    with django_assert_max_num_queries(13):  # five sources, of which three may be large
        root.get(f"executions/{executions[0].id}/history")
    with django_assert_max_num_queries(5):
        root.get(f"executions/{executions[0].id}/timeline")
    assert Execution.objects.count() == 20
