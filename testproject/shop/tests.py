"""The shop: every order ends shipped or cancelled, and is paid for once or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from django_workflows import TransitionError
from django_workflows.models import Execution
from django_workflows.testing import Workflows
from testproject.conftest import StartProvider
from testproject.provider.faults import Faults
from testproject.provider.server import Provider
from testproject.shop.approval import approve
from testproject.shop.models import Order, Product, Shipment
from testproject.shop.workflows import Outcome, fulfil, reserve_stock


@pytest.fixture(autouse=True)
def products(db: None) -> None:
    call_command("loaddata", "products", verbosity=0)


def place(sku: str = "LAMP-01", quantity: int = 1, number: str = "10001") -> tuple[Order, Execution]:
    product = Product.objects.get(sku=sku)
    amount = product.price * quantity
    order = Order.objects.create(
        number=number, email="ada@example.com", product=product, quantity=quantity, amount=amount
    )
    fulfil.using(idempotency_key=number).start(number, amount)
    return order, Execution.objects.for_workflow(fulfil).get(idempotency_key=number)


def stock(sku: str = "LAMP-01") -> int:
    return Product.objects.get(sku=sku).stock


def test_a_small_order_is_charged_reserved_shipped_and_announced(workflows: Workflows, provider: Provider) -> None:
    before = stock()
    order, execution = place(quantity=2)
    assert workflows.result(execution) == Outcome.SHIPPED
    order.refresh_from_db()
    shipment = Shipment.objects.get(order=order)
    workflows.assert_journal(
        execution,
        [
            ("step", "charge_order", "succeeded", order.charge_id),
            ("step", "mark_paid", "succeeded"),
            ("step", "reserve_stock", "succeeded", True),
            ("child", "ship", "succeeded", shipment.tracking_code),
            ("step", "tell_customer", "succeeded"),
        ],
    )
    assert order.status == Order.Status.SHIPPED
    assert stock() == before - 2
    assert provider.ledger.counts()["charges"] == 1
    assert [(message.to, shipment.tracking_code in message.body) for message in mail.outbox] == [
        (["ada@example.com"], True)
    ]


def test_a_large_order_waits_until_somebody_approves_it(workflows: Workflows, provider: Provider) -> None:
    order, execution = place("DESK-SIT", 2)
    workflows.run_until_idle()
    workflows.skip("2 days")
    workflows.run_until_idle()
    execution.refresh_from_db()
    assert (execution.status, execution.state) == ("waiting", {"phase": "waiting for approval"})
    approve(order, by="grace")
    assert workflows.result(execution) == Outcome.SHIPPED


def test_an_approval_that_comes_early_counts(workflows: Workflows, provider: Provider) -> None:
    order, execution = place("DESK-SIT", 2)
    approve(order, by="grace")
    assert workflows.result(execution) == Outcome.SHIPPED


def test_a_large_order_that_nobody_approves_in_time_is_given_back(workflows: Workflows, provider: Provider) -> None:
    before = stock("DESK-SIT")
    order, execution = place("DESK-SIT", 2)
    start = workflows.now()
    assert workflows.result(execution) == Outcome.NOT_APPROVED
    assert (workflows.now() - start).days == 3
    order.refresh_from_db()
    assert order.status == Order.Status.CANCELLED
    assert stock("DESK-SIT") == before
    counts = provider.ledger.counts()
    assert (counts["charges"], counts["refunds"]) == (1, 1)
    assert "cancelled: not approved" in mail.outbox[0].body


def test_an_approval_after_the_end_is_refused(workflows: Workflows, provider: Provider) -> None:
    order, execution = place()
    workflows.result(execution)
    with pytest.raises(TransitionError):
        approve(order, by="grace")


def test_what_is_sold_out_is_given_back(workflows: Workflows, provider: Provider) -> None:
    before = stock("CLOCK-50")
    executions = [place("CLOCK-50", number=str(number))[1] for number in range(before + 1)]
    workflows.run_to_end()
    outcomes = [workflows.result(execution) for execution in executions]
    assert sorted(outcomes) == [Outcome.SHIPPED] * before + [Outcome.SOLD_OUT]
    assert stock("CLOCK-50") == 0
    assert provider.ledger.counts()["refunds"] == 1


def test_a_declined_card_costs_nothing(workflows: Workflows, provider: Provider) -> None:
    before = stock("DESK-SIT")
    order, execution = place("DESK-SIT", 30)
    assert workflows.result(execution) == Outcome.DECLINED
    order.refresh_from_db()
    assert order.status == Order.Status.CANCELLED
    assert stock("DESK-SIT") == before
    counts = provider.ledger.counts()
    assert (counts["charges"], counts["refunds"]) == (0, 0)


def test_a_provider_that_fails_and_loses_answers_charges_each_order_once(
    workflows: Workflows, start_provider: StartProvider
) -> None:
    """STP-02: the idempotency key is the same on every attempt."""
    provider = start_provider(Faults(fail=0.3, drop=0.3))
    executions = [place(number=str(number))[1] for number in range(20)]
    workflows.run_to_end()
    assert {workflows.result(execution) for execution in executions} == {Outcome.SHIPPED}
    counts = provider.ledger.counts()
    assert (counts["charges"], counts["duplicates"]) == (20, 0)
    assert counts["calls"] == counts["repeated"] + 20
    assert counts["repeated"] > 5


def test_a_refund_is_repeated_until_it_is_made_and_made_once(
    workflows: Workflows, start_provider: StartProvider
) -> None:
    provider = start_provider(Faults(fail=0.3, drop=0.5, seed=3))
    _, execution = place("DESK-SIT", 2)
    assert workflows.result(execution) == Outcome.NOT_APPROVED
    counts = provider.ledger.counts()
    assert (counts["charges"], counts["refunds"], counts["duplicates"]) == (1, 1, 0)


def test_everything_goes_the_same_way_when_it_is_replayed_at_every_step(
    workflows_evicting: Workflows, start_provider: StartProvider
) -> None:
    provider = start_provider(Faults(fail=0.3, drop=0.3))
    executions = [place("DESK-SIT", quantity, str(quantity))[1] for quantity in (1, 2)]
    workflows_evicting.run_to_end()
    assert [workflows_evicting.result(execution) for execution in executions] == [
        Outcome.SHIPPED,
        Outcome.NOT_APPROVED,
    ]
    assert provider.ledger.counts()["duplicates"] == 0


def test_stock_is_never_less_than_nothing(workflows: Workflows) -> None:
    _, execution = place("CLOCK-50", 1000)
    assert reserve_stock(execution.idempotency_key or "") is False
    assert stock("CLOCK-50") > 0


def test_the_admin_approves_orders(workflows: Workflows, provider: Provider, admin_client: Client) -> None:
    large, execution = place("DESK-SIT", 2, "10001")
    small, _ = place("LAMP-01", 1, "10002")
    workflows.run_until_idle()
    workflows.skip("1 day")
    workflows.run_until_idle()
    response = admin_client.post(
        reverse("admin:shop_order_changelist"),
        {"action": "approve_orders", "_selected_action": [large.pk, small.pk]},
        follow=True,
    )
    said = response.content.decode()
    assert "10001 is approved." in said
    assert "Cannot signal an execution that is completed" in said
    assert workflows.result(execution) == Outcome.SHIPPED
    approval = workflows.journal(execution)[3]
    assert (approval.name, approval.output["data"]) == ("approved", {"by": "admin"})


@pytest.mark.parametrize("model", [Order, Product, Shipment])
def test_the_admin_shows_its_pages(model: type, workflows: Workflows, provider: Provider, admin_user: User) -> None:
    _, execution = place()
    workflows.result(execution)
    client = Client()
    client.force_login(admin_user)
    assert site.is_registered(model)
    url = reverse(f"admin:shop_{model.__name__.lower()}_changelist")
    assert client.get(url, {"q": "1"}).status_code == 200


def test_amounts_stay_exact(workflows: Workflows, provider: Provider) -> None:
    _, execution = place("LAMP-01", 3)
    assert execution.input == {"number": "10001", "amount": "119.70"}
    workflows.result(execution)
    assert Order.objects.get().amount == Decimal("119.70")
