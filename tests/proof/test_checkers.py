"""A check that cannot fail proves nothing: here each is shown something that is wrong, and must say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from django_workflows.engine.commit import transaction as committing
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Verdict
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.handlers import atomic_steps
from django_workflows.exceptions import Abandoned
from django_workflows.models import Execution, Signal, StepResult
from testproject.provider.ledger import Ledger as ProviderLedger
from tests.chaos.load import Acknowledged
from tests.chaos.verdict import judge
from tests.factories import make_execution
from tests.proof.conftest import NewTrial
from tests.proof.late_writes import THEFTS, WRITES, set_scene
from tests.proof.programs import outside
from tests.proof.test_model import World
from tests.proof.trials import Trial

pytestmark = pytest.mark.django_db(transaction=True)


# the verdict on a trial


def _steps(trial: Trial) -> Any:
    return StepResult.objects.filter(execution__in=trial.family(), kind="step")


def _rewrite(trial: Trial, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """What the ledger outside says, changed."""
    file = trial.folder / "ledger.jsonl"
    lines = change([json.loads(line) for line in file.read_text().splitlines()])
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


DAMAGES: dict[str, Callable[[Trial], Any]] = {
    "an effect was lost": lambda trial: _rewrite(trial, lambda lines: lines[1:]),
    "an effect took place twice": lambda trial: _rewrite(trial, lambda lines: [*lines, lines[0]]),
    "an effect had two keys": lambda trial: _rewrite(trial, lambda lines: [*lines, {**lines[0], "key": "another"}]),
    "a transactional step took effect twice": lambda trial: Group.objects.create(
        name=f"{trial.execution.id} three {uuid4().hex}"
    ),
    "a transactional step had no effect": lambda trial: Group.objects.filter(name__contains="three").delete(),
    "an attempt was not counted": lambda trial: _steps(trial).update(attempts=0),
    "another result": lambda trial: Execution.objects.filter(pk=trial.execution.id).update(output={"last": "other"}),
    "it did not end": lambda trial: Execution.objects.filter(pk=trial.execution.id).update(
        status="waiting", wake_at=None, completed_at=None
    ),
    "a child is stuck": lambda trial: Execution.objects.filter(parent=trial.execution.id).update(
        status="waiting", wake_at=None, completed_at=None
    ),
}


TABLES = (Execution, StepResult, Group)


def test_the_verdict_on_a_trial_sees_each_damage(new_trial: NewTrial) -> None:
    """CRS-16."""
    trial = new_trial()
    trial.finish()
    trial.check()
    ledger = (trial.folder / "ledger.jsonl").read_text()
    for name, damage in DAMAGES.items():
        tables: dict[Any, Any] = {
            model: list(model._default_manager.values()) for model in (Execution, StepResult, Group)
        }
        damage(trial)
        assert notices(trial), f"nobody has noticed: {name}"
        (trial.folder / "ledger.jsonl").write_text(ledger)
        _restore(tables)
    trial.check()


def notices(trial: Trial) -> bool:
    try:
        trial.check()
    except AssertionError:
        return True
    return False


def _restore(tables: dict[Any, list[dict[str, Any]]]) -> None:
    for model, rows in tables.items():
        model._default_manager.all().delete()
        model._default_manager.bulk_create([model(**row) for row in rows])


# the fence


@pytest.mark.parametrize("write", ["a result", "a child", "a consumed signal", "its end, complete"])
def test_a_committer_without_a_fence_would_be_found_out(monkeypatch: pytest.MonkeyPatch, write: str) -> None:
    """CRS-02: with the comparison of claims removed, late writes are stored."""
    judge = committing.judge

    def believe(write: Any, rows: Any, absent: Any) -> Any:
        held = rows.get(write.execution_id)
        if held is not None:
            rows = {**rows, write.execution_id: replace(held, claim=write.claim, status="running")}
        return judge(write, rows, absent)

    monkeypatch.setattr(committing, "judge", believe)
    scene = set_scene()
    late = WRITES[write](scene)
    THEFTS["another worker took it over"](scene)
    assert store_all("default", [late])[0].verdict is not Verdict.FENCED


def test_a_transactional_step_without_a_fence_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRS-02."""
    scene = set_scene()
    THEFTS["another worker took it over"](scene)
    with pytest.raises(Abandoned):
        _check_fence(scene.write())
    unfenced = atomic_steps.FENCE.replace(
        "SELECT claim, status, requested", f"SELECT {scene.write().claim}, 'running', ''"
    )
    assert unfenced != atomic_steps.FENCE
    monkeypatch.setattr(atomic_steps, "FENCE", unfenced)
    _check_fence(scene.write())


def _check_fence(write: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        atomic_steps.check_fence(cursor, dialect_of(connection), write)


# the model


@pytest.mark.parametrize("fault", ["a step is called twice", "a signal is lost", "a result is another one"])
def test_the_model_sees_what_should_not_be(fault: str) -> None:
    world = World()
    one = world.start([["step", 0], ["signal", "a"], ["atomic"]], "def")
    world.settle()
    world.signal(one, "a")
    if fault == "a signal is lost":
        Signal.objects.all().delete()
    else:
        world.settle()
    if fault == "a step is called twice":
        outside.calls["0.0"] += 1
    if fault == "a result is another one":
        Execution.objects.filter(pk=one.id).update(output=["0.0", 1, "other"])
    with pytest.raises(AssertionError):
        world.settle()
    world.close()


# the verdict after chaos


def test_the_verdict_after_chaos_sees_each_loss(tmp_path: Any) -> None:
    execution = make_execution("completed", workflow="fulfil", idempotency_key="b1")
    told = Acknowledged(executions={"order b1": execution.pk})
    good = judge([told], _ledger(tmp_path))
    assert (good.lost, good.duplicated, good.stuck) == ([], [], [])
    told.executions["order b2"] = uuid4()
    told.signals.add((execution.pk, "approved"))
    told.events.add("leaves ada")
    lost = judge([told], _ledger(tmp_path)).lost
    assert [words.split()[0] for words in lost] == ["start", "signal", "event"]


def test_the_verdict_after_chaos_sees_what_is_stuck_or_doubled(tmp_path: Any) -> None:
    make_execution("waiting", workflow="fulfil", wake_at=None)
    parent = make_execution("completed", workflow="fulfil")
    make_execution("completed", workflow="ship", parent=parent)
    ledger = _ledger(tmp_path, charges=[("k1", "b1"), ("k2", "b1")])
    verdict = judge([], ledger)
    assert len(verdict.stuck) == 1
    assert verdict.broken, "the doctor was asked"
    assert any("is the child of no step" in words for words in verdict.duplicated)
    assert "an order charged twice: b1" in verdict.duplicated
    assert not verdict.is_good


def _ledger(folder: Any, charges: Any = ()) -> Any:
    """The provider's, with these charges (key, order)."""
    path = folder / f"{uuid4().hex}.sqlite3"
    ledger = ProviderLedger(path)
    for key, order in charges:
        ledger.charge(key, f"request {key}", order, "9.00")
    ledger.close()
    return path
