"""The code blocks of the guide, executed from the first to the last as one module."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_workflows import step
from django_workflows.client import answer_token
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from testproject.shop.models import Order

GUIDE = Path(__file__).parents[2] / "docs" / "writing.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


LINKS: list[str] = []


async def _ask(shop: str, item: str) -> float:
    return float(ord(shop))


def stand_ins() -> dict[str, Any]:
    """What the guide speaks of and does not define."""
    steps: dict[str, Any] = {
        "archive": lambda name: name.upper(),
        "print_label": lambda order_id: f"label-{order_id}",
        "tax_of": lambda country: 0.5,
        "rate_of": lambda country: 2.0,
        "price_of": lambda weight: 10 * weight,
        "renew_certificate": lambda name: None,
        "send_issue": lambda email, number: None,
        "welcome": lambda email: None,
        "create_account": lambda email: None,
        "ask_editor": lambda page_id, url: LINKS.append(url),
    }
    return {
        **{name: step(body, name=name) for name, body in steps.items()},
        "provider": SimpleNamespace(charge=lambda order_id, idempotency_key: f"charge-{order_id}"),
        "rates": SimpleNamespace(fetch=lambda currency: {currency: 1.0}),
        "shops": SimpleNamespace(ask=_ask),
        "chunks_of": lambda video_id: 3,
        "encode": lambda video_id, chunk: None,
        "Order": Order,
    }


@pytest.fixture
def guide() -> SimpleNamespace:
    """The names that the guide's code defines."""
    text = GUIDE.read_text("utf-8")
    namespace = {"__name__": "guide", **stand_ins()}
    for found in BLOCK.finditer(text):
        line = text[: found.start()].count("\n") + 1
        exec(compile("\n" * line + found[1], str(GUIDE), "exec"), namespace)
    return SimpleNamespace(**namespace)


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("fulfil", {"order_id": 1}, {"charge": "charge-1"}),
        ("fetch_rates", {"currency": "CHF"}, {"CHF": 1.0}),
        ("ship", {"order_id": 1}, "by hand, because of ConnectionError"),
        ("transcode", {"video_id": 1}, 3),
        ("tidy", {"names": {"b", "a", "c"}}, ["A", "B", "C"]),
        ("approve", {"order_id": 7}, "nobody decided"),
        ("fulfil_both", {"first": 1, "second": 2}, ["label-1", "label-2"]),
        ("quote", {"country": "CH", "weights": [1, 2]}, {"total": 90.0}),
        ("first_answer", {"order_id": 1}, "nobody"),
        ("best_price", {"item": "tea"}, 97.0),
        ("onboarding", {"email": "ada@example.com"}, None),
    ],
)
def test_an_example_gives_what_one_would_expect(
    guide: SimpleNamespace, workflows: Workflows, name: str, arguments: dict[str, Any], output: Any
) -> None:
    execution = getattr(guide, name).start(**arguments)
    assert workflows.result(execution) == output


def test_what_the_guide_starts_completes(guide: SimpleNamespace, workflows: Workflows) -> None:
    workflows.run_to_end()
    assert Execution.objects.count() > 10
    assert not Execution.objects.exclude(status=Status.COMPLETED).exists()
    assert guide.waiting.result(timeout=0) == "approved, 5 stars"
    assert guide.left == 0


def test_a_link_is_answered_once(guide: SimpleNamespace, workflows: Workflows) -> None:
    execution = guide.publish_page.start(page_id=1)
    workflows.run_until_idle()
    answer_token(LINKS[-1], {"by": "ada", "verdict": "yes"})
    assert workflows.result(execution) == "ada says yes"
    assert workflows.result(guide.publish_page.start(page_id=2)) == "nobody answered"


def test_a_long_life_is_a_loop(guide: SimpleNamespace, workflows: Workflows) -> None:
    execution = guide.server_life.start(name="web-1")
    for _ in range(3):
        workflows.run_until_idle()
        workflows.skip("61 days")
    workflows.run_until_idle()
    execution.signal("destroy")
    assert workflows.result(execution) == 3


def test_a_newsletter_continues_as_new(guide: SimpleNamespace, workflows: Workflows) -> None:
    execution = guide.newsletter.start(email="ada@example.com")
    for _ in range(13):
        workflows.run_until_idle()
        workflows.skip("31 days")
    execution.refresh_from_db()
    assert (execution.generation, execution.input) == (1, {"email": "ada@example.com", "issue": 13})


def test_an_old_execution_stays_with_its_version(guide: SimpleNamespace, workflows: Workflows) -> None:
    old = guide.onboarding_v1.start(email="ada@example.com")
    new = guide.start("onboarding", email="ada@example.com")
    workflows.run_to_end()
    assert [row.name for row in workflows.journal(old)] == ["welcome"]
    assert [row.name for row in workflows.journal(new)] == ["create_account", "welcome"]
