"""The receiver of GitHub's deliveries: signed as GitHub signs, with bodies as GitHub sends them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse

from django_workflows.models import Execution, Trigger
from django_workflows.testing import Workflows
from testproject.github.models import CheckRun, Commit, Issue
from testproject.github.triage import suggest
from testproject.github.workflows import github_delivery, summarise_checks

SECRET = "what only GitHub and we know"
SAMPLES = settings.BASE_DIR / "tests" / "data" / "github-webhooks"

# All that the collection has, for those who have it; the selection is part of the project.
ALL = Path(os.environ.get("GITHUB_WEBHOOKS_FOLDER") or settings.BASE_DIR.parent / "shared" / "data" / "github-webhooks")
EVERYTHING = sorted(ALL.glob("*.json")) or sorted(SAMPLES.glob("*.json"))


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"GITHUB": [SECRET]}}
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def body_of(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def changed(name: str, /, **values: Any) -> bytes:
    """A body with other values in its issue or check run."""
    body = json.loads(body_of(name))
    body["check_run" if "check_run" in body else "issue"].update(values)
    return json.dumps(body).encode()


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def deliver(kind: str, body: bytes, *, id: str = "", signature: str = "") -> Any:
    headers = {
        "X-GitHub-Event": kind.partition(".")[0],
        "X-GitHub-Delivery": id or hashlib.sha256(body).hexdigest(),
        "X-Hub-Signature-256": signature or sign(body),
    }
    address = reverse("django_workflows:webhook", args=["github"])
    return Client().post(address, body, content_type="application/json", headers=headers)


def take_in(workflows: Workflows, name: str, body: bytes | None = None) -> Any:
    """Deliver, and let the workflow of this delivery end; returns what it did."""
    answer = deliver(name, body_of(name) if body is None else body)
    assert answer.status_code == 202, answer.content
    workflows.run_until_idle()
    return Execution.objects.get(pk=answer.json()["execution"]).output


# issues


@pytest.mark.parametrize(
    ("title", "body", "labels", "expected"),
    [
        ("Spelling error in the README file", "", [], ["bug", "documentation"]),
        ("Spelling error in the README file", "", ["bug"], ["documentation"]),
        ("Please add dark mode", "", [], ["enhancement"]),
        ("How do I install it?", "", [], ["question"]),
        ("Hello", "Traceback (most recent call last):", [], ["bug"]),
        ("Hello", "", [], []),
    ],
)
def test_labels_are_suggested_by_words(title: str, body: str, labels: list[str], expected: list[str]) -> None:
    assert suggest(title, body, labels) == expected


def test_an_issue_is_triaged(workflows: Workflows) -> None:
    assert take_in(workflows, "issues.15") == "triaged"
    issue = Issue.objects.get()
    assert (str(issue), issue.author) == ("Codertocat/Hello-World#1", "Codertocat")
    assert (issue.labels, issue.suggested, issue.is_open) == (["bug"], ["documentation"], True)


def test_news_that_are_older_than_what_is_known_change_nothing(workflows: Workflows) -> None:
    take_in(workflows, "issues.15", changed("issues.15", title="Later", updated_at="2019-05-16T00:00:00Z"))
    assert take_in(workflows, "issues.15") == "outdated"
    assert Issue.objects.get().title == "Later"


def test_who_has_left_github_is_nobody(workflows: Workflows) -> None:
    take_in(workflows, "issues.15", changed("issues.15", user=None, body=None, state="closed"))
    issue = Issue.objects.get()
    assert (issue.author, issue.is_open) == ("", False)


# checks


def checks(workflows: Workflows) -> Iterator[tuple[str, str]]:
    """Two checks of one commit: one fails, one is under way."""
    yield take_in(workflows, "check_run.1"), "recorded"
    yield take_in(workflows, "check_run.1", changed("check_run.0", id=2, name="tests")), "recorded"


def test_failing_checks_of_a_commit_are_told_in_one_mail(workflows: Workflows) -> None:
    assert all(done == expected for done, expected in checks(workflows))
    workflows.skip("1 minute")
    ended = changed("check_run.1", id=2, name="tests", completed_at="2019-05-15T15:30:00Z")
    take_in(workflows, "check_run.1", ended)
    workflows.skip("1 minute")
    workflows.run_until_idle()
    assert mail.outbox == []  # the checks have not been quiet for long enough

    workflows.run_to_end()

    (message,) = mail.outbox
    assert message.subject == "Checks failed: Codertocat/Hello-World@ec26c3e"
    assert message.body.startswith("2 of 2 checks failed, 0 have not ended.\n- Octocoders-linter: failure https://")
    assert Commit.objects.get().state == Commit.State.FAILING
    assert Execution.objects.for_workflow(summarise_checks).get().output == "failing"


def test_a_commit_without_failures_gets_no_mail(workflows: Workflows) -> None:
    take_in(workflows, "check_run.3")
    workflows.run_to_end()
    assert mail.outbox == []
    assert Commit.objects.get().state == Commit.State.PASSING


def test_a_check_that_begins_after_its_end_is_late_news(workflows: Workflows) -> None:
    take_in(workflows, "check_run.1")
    assert take_in(workflows, "check_run.1", changed("check_run.1", status="queued", completed_at=None)) == "outdated"
    assert CheckRun.objects.get().conclusion == "failure"


def test_checks_that_come_after_the_summary_get_another(workflows: Workflows) -> None:
    take_in(workflows, "check_run.3")
    workflows.run_to_end()
    take_in(workflows, "check_run.1", changed("check_run.1", id=2, name="tests"))
    workflows.run_to_end()
    assert len(mail.outbox) == 1
    assert Execution.objects.for_workflow(summarise_checks).count() == 2
    assert Commit.objects.get().state == Commit.State.FAILING


def test_it_goes_the_same_way_when_it_is_replayed_at_every_step(workflows_evicting: Workflows) -> None:
    list(checks(workflows_evicting))
    workflows_evicting.run_to_end()
    assert len(mail.outbox) == 1
    assert not Execution.objects.exclude(status="completed").exists()


# everything that GitHub sends


def test_every_delivery_is_accepted_started_once_and_finishes(workflows: Workflows) -> None:
    """WHK-01, WHK-04."""
    assert len(EVERYTHING) >= 14
    for number, file in enumerate(EVERYTHING):
        first, second = (deliver(file.name, file.read_bytes(), id=f"d-{number}") for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 200), file.name
        assert first.json()["execution"] == second.json()["execution"]
    workflows.run_to_end()
    deliveries = Execution.objects.for_workflow(github_delivery)
    assert deliveries.count() == len(EVERYTHING) == Trigger.objects.get(pattern="github").trigger_count
    assert not Execution.objects.exclude(status="completed").exists()


@pytest.mark.django_db
def test_no_delivery_is_accepted_when_its_signature_is_wrong_by_one_bit() -> None:
    """WHK-02."""
    for number, file in enumerate(EVERYTHING):
        right = sign(body := file.read_bytes())
        place = len("sha256=") + number % 64
        wrong = right[:place] + chr(ord(right[place]) ^ 1) + right[place + 1 :]
        assert deliver(file.name, body, signature=wrong).status_code == 401, file.name
    assert not Execution.objects.exists()
