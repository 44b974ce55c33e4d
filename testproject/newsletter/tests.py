"""The newsletter: an issue a month, until the subscriber leaves."""

from __future__ import annotations

from django.core import mail
from django.db import transaction

from django_workflows.client import send_event
from django_workflows.models import Execution
from django_workflows.testing import Workflows
from testproject.newsletter.models import Subscriber
from testproject.newsletter.subscriptions import subscribe, unsubscribe
from testproject.newsletter.workflows import ISSUES_A_YEAR, newsletter, send_issue

ADA, ALAN = "ada@example.com", "alan@example.com"


def months_pass(workflows: Workflows, months: int) -> None:
    workflows.run_until_idle()
    for _ in range(months):
        workflows.skip("30 days")
        workflows.run_until_idle()


def issues(email: str = ADA) -> list[str]:
    return [str(message.subject) for message in mail.outbox if message.to == [email]]


def execution(email: str = ADA) -> Execution:
    return Execution.objects.for_workflow(newsletter).filter(key=email).latest("created_at")


def test_an_issue_is_sent_every_month(workflows: Workflows) -> None:
    subscribe(ADA)
    months_pass(workflows, 2)
    assert issues() == ["Newsletter no. 1", "Newsletter no. 2", "Newsletter no. 3"]
    assert Subscriber.objects.get(email=ADA).last_issue == 3


def test_an_unsubscribed_event_stops_it_at_once(workflows: Workflows) -> None:
    subscribe(ADA)
    subscribe(ALAN)
    months_pass(workflows, 1)
    send_event("unsubscribed", {"email": ADA})
    workflows.run_until_idle()
    assert execution().status == "completed"
    assert Subscriber.objects.get(email=ADA).is_active is False
    months_pass(workflows, 3)
    assert (len(issues(ADA)), len(issues(ALAN))) == (2, 5)


def test_an_event_that_comes_while_a_mail_is_sent_counts(workflows: Workflows) -> None:
    def send(email: str, number: int) -> bool:
        if number == 2:
            send_event("unsubscribed", {"email": email})
        return True

    fake = workflows.fake(send_issue, send)
    subscribe(ADA)
    months_pass(workflows, 3)
    assert execution().status == "completed"
    assert [call.args[1] for call in fake.calls] == [1, 2]


def test_it_continues_as_new_every_year(workflows: Workflows) -> None:
    """EXE-17: the same execution, with an empty journal."""
    subscribe(ADA)
    months_pass(workflows, ISSUES_A_YEAR + 2)
    assert len(issues()) == ISSUES_A_YEAR + 3
    assert (execution().generation, execution().status) == (1, "waiting")
    assert len(workflows.journal(execution())) < 10
    unsubscribe(ADA)
    workflows.run_until_idle()
    assert execution().status == "completed"


def test_who_unsubscribes_between_two_years_gets_no_further_issue(workflows: Workflows) -> None:
    subscribe(ADA)
    workflows.run_until_idle()
    Subscriber.objects.update(is_active=False)  # and the event was missed
    months_pass(workflows, 2)
    assert execution().status == "completed"
    assert len(issues()) == 1


def test_a_subscriber_who_was_deleted_gets_no_further_issue(workflows: Workflows) -> None:
    subscribe(ADA)
    workflows.run_until_idle()
    Subscriber.objects.all().delete()
    months_pass(workflows, 1)
    assert execution().status == "completed"


def test_unsubscribing_is_undone_with_its_transaction(workflows: Workflows) -> None:
    subscribe(ADA)
    workflows.run_until_idle()
    with transaction.atomic():
        unsubscribe(ADA)
        transaction.set_rollback(True)
    months_pass(workflows, 1)
    assert len(issues()) == 2


def test_subscribing_twice_is_one_subscription(workflows: Workflows) -> None:
    assert subscribe(ADA)
    assert not subscribe(ADA)
    months_pass(workflows, 1)
    assert len(issues()) == 2


def test_who_comes_back_goes_on_with_the_next_issue(workflows: Workflows) -> None:
    subscribe(ADA)
    months_pass(workflows, 1)
    unsubscribe(ADA)
    assert subscribe(ADA)
    months_pass(workflows, 1)
    assert issues() == [f"Newsletter no. {number}" for number in (1, 2, 3, 4)]
    assert Subscriber.objects.get(email=ADA).is_active


def test_it_goes_the_same_way_when_it_is_replayed_at_every_step(workflows_evicting: Workflows) -> None:
    subscribe(ADA)
    months_pass(workflows_evicting, ISSUES_A_YEAR + 1)
    unsubscribe(ADA)
    workflows_evicting.run_until_idle()
    assert len(issues()) == ISSUES_A_YEAR + 2
    assert execution().status == "completed"
