"""Domains against a registrar that limits calls and spreads records slowly; time is skipped, for it as well."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from django_workflows import client, clock, definitions
from django_workflows.models import Execution, StepResult
from django_workflows.testing import Workflows
from testproject.domains.models import Domain
from testproject.domains.orders import order
from testproject.domains.registrar import RegistrarRefused, set_record
from testproject.domains.workflows import LOOKS, Outcome, move_domain, order_certificate, set_up_domain
from testproject.registrar.server import Registrar

DEFINITION = json.loads((Path(__file__).parent / "definitions" / "move_domain.json").read_text())

pytestmark = pytest.mark.django_db


@pytest.fixture
def registrar(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registrar]:
    """One call each two seconds, and ten minutes until a record is seen."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    with Registrar(tmp_path / "zone.sqlite3", spread_seconds=600, per_second=0.5) as registrar:
        registrar.zone.clock = lambda: time.time() + clock.offset().total_seconds()
        settings.DOMAINS_REGISTRAR_URL = registrar.url
        thread = threading.Thread(target=registrar.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield registrar
        registrar.shutdown()
        thread.join()


@pytest.fixture
def flows() -> Iterator[Workflows]:
    with Workflows() as flows:
        yield flows


def answer_the_mail(answer: Any, number: int = -1) -> int:
    """What somebody does who has read it."""
    found = re.search(r"http\S+(/api/tokens/\S+)", str(mail.outbox[number].body))
    assert found is not None
    return Client().post(found[1], answer, content_type="application/json").status_code


def test_a_domain_is_set_up_after_somebody_has_looked_at_it(flows: Workflows, registrar: Registrar) -> None:
    domain = order("shop.example", "192.0.2.7")
    flows.run_until_idle()
    assert (len(mail.outbox), registrar.zone.counts()["calls"]) == (1, 0)
    flows.skip("2 days")
    assert answer_the_mail({"ok": True}) == 202
    flows.run_to_end()
    domain.refresh_from_db()
    assert (domain.status, domain.certificate[:4]) == (Domain.Status.ACTIVE, "crt_")
    execution = Execution.objects.get(workflow=set_up_domain.name)
    assert execution.output == Outcome.ACTIVE
    sleeps = [row for row in flows.journal(execution) if row.kind == "sleep"]
    assert 2 <= len(sleeps) < 2 * LOOKS
    assert answer_the_mail({"ok": False}) == 410


@pytest.mark.parametrize("answer", [{"ok": False}, {}, "yes", {"ok": True, "but": 1}])
def test_without_an_approval_nothing_is_set(flows: Workflows, registrar: Registrar, answer: Any) -> None:
    domain = order("shop.example", "192.0.2.7")
    flows.run_until_idle()
    assert answer_the_mail(json.dumps(answer)) == 202
    flows.run_to_end()
    domain.refresh_from_db()
    assert (domain.status, registrar.zone.counts()["records"]) == (Domain.Status.REFUSED, 0)


def test_nobody_looks_for_three_days(flows: Workflows, registrar: Registrar) -> None:
    domain = order("shop.example", "192.0.2.7")
    flows.run_to_end()
    domain.refresh_from_db()
    assert (domain.status, domain.note) == (Domain.Status.FAILED, Outcome.UNSEEN)
    assert answer_the_mail({"ok": True}) == 410
    again = order("shop.example", "192.0.2.7")
    flows.run_until_idle()
    assert answer_the_mail({"ok": True}) == 202
    assert (again.pk, again.status) == (domain.pk, Domain.Status.ORDERED)


def test_not_so_fast_is_waited_out_for_as_long_as_it_says(flows: Workflows, registrar: Registrar) -> None:
    """`RetryAfter`: the registrar says when to come again."""
    for number in range(3):
        order(f"shop-{number}.example", "192.0.2.7")
    flows.run_until_idle()
    for number in range(3):
        answer_the_mail({"ok": True}, number)
    flows.run_to_end()
    assert Domain.objects.filter(status=Domain.Status.ACTIVE).count() == 3
    counts = registrar.zone.counts()
    assert counts["limited"] > 0
    assert counts["certificates"] == 3
    assert StepResult.objects.filter(name="set_record", attempts__gt=1).exists()


def test_a_record_that_never_spreads_is_given_up(flows: Workflows, registrar: Registrar) -> None:
    registrar.zone.spread_seconds = 10**9
    domain = order("shop.example", "192.0.2.7")
    flows.run_until_idle()
    answer_the_mail({"ok": True})
    flows.run_to_end()
    domain.refresh_from_db()
    assert (domain.status, domain.note) == (Domain.Status.FAILED, Outcome.LOST)


def test_a_certificate_is_ordered_once_though_the_answer_was_lost(registrar: Registrar) -> None:
    with Workflows(evict=True) as flows:
        order("shop.example", "192.0.2.7")
        flows.run_until_idle()
        answer_the_mail({"ok": True})
        original, calls = order_certificate.fn, []

        def loses_its_answer(name: str) -> Any:
            calls.append(original(name))
            if len(calls) == 1:
                raise ConnectionError("the answer was lost")
            return calls[-1]

        with flows.fake(order_certificate, loses_its_answer):
            flows.run_to_end()
        assert len(calls) >= 2
        assert registrar.zone.counts()["certificates"] == 1


def test_the_secret_link_is_in_the_mail_only(flows: Workflows, registrar: Registrar) -> None:
    order("shop.example", "192.0.2.7")
    flows.run_until_idle()
    found = re.search(r"/api/tokens/(\S+)", str(mail.outbox[0].body))
    assert found is not None
    rows = [*StepResult.objects.values(), *Execution.objects.values(), *Domain.objects.values()]
    assert not any(found[1] in str(row) for row in rows)


@pytest.mark.parametrize("evict", [False, True])
@pytest.mark.parametrize("spreads", [True, False])
def test_the_definition_has_the_same_journal_as_the_code(registrar: Registrar, evict: bool, spreads: bool) -> None:
    """`definitions/move_domain.json` and `move_domain` do the same: calls, rows and results."""
    definitions.save(DEFINITION)
    registrar.zone.spread_seconds = 600 if spreads else 10**9
    journals, outputs = [], []
    with Workflows(evict=evict) as flows:
        for workflow in (move_domain.name, DEFINITION["name"]):
            given = {"name": f"{workflow.replace('_', '-')}.example", "address": "192.0.2.9", "pause": "1 hour"}
            execution = client.start(workflow, **given)
            flows.run_until_idle()
            flows.skip("61 minutes")
            flows.run_until_idle()
            client.send_event("domain.confirmed", {"name": "another.example", "by": "bob"})
            client.send_event("domain.confirmed", {"name": given["name"], "by": "ada"})
            outputs.append(flows.result(execution))
            journals.append([_without_chance(row) for row in flows.journal(execution)])
    assert journals[0] == journals[1]
    warned = [] if spreads else ["warn"]
    assert [row[2] for row in journals[0]] == ["set_record", "spread", "look_up", *warned, "domain.confirmed"]
    assert outputs[0] == outputs[1] == {"seen": "192.0.2.9" if spreads else "", "by": "ada"}


def _without_chance(row: Any) -> tuple[Any, ...]:
    output = row.output["name"] if row.kind == "event" else row.output  # its id and time are its own
    return row.key, row.kind, row.name, row.status, output


@pytest.mark.parametrize(
    ("type", "value"), [("MX", "mail.example"), ("A", "")], ids=["a type it does not have", "no value"]
)
def test_what_the_registrar_refuses_is_not_tried_again(registrar: Registrar, type: str, value: str) -> None:
    with pytest.raises(RegistrarRefused):
        set_record("shop.example", type, value)
