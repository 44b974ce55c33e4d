"""Billing: one invoice for every active customer and month."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django_workflows import ExecutionFailed
from django_workflows.models import Execution, Trigger
from django_workflows.testing import Workflows
from testproject.billing.models import Customer, Invoice
from testproject.billing.workflows import AT_ONCE, Bill, bill_customers, invoice_customer, write_invoice


def customers(number: int) -> list[Customer]:
    return Customer.objects.bulk_create(
        Customer(name=f"Customer {n}", email=f"{n}@example.com", monthly_fee=Decimal("9.50")) for n in range(number)
    )


def bill(period: str = "2026-01") -> Any:
    return bill_customers.using(idempotency_key=period).start(period)


def test_every_active_customer_gets_one_invoice(workflows: Workflows) -> None:
    customers(AT_ONCE + 10)
    Customer.objects.filter(name="Customer 3").update(is_active=False)
    assert workflows.result(bill()) == Decimal("9.50") * (AT_ONCE + 9)
    assert Invoice.objects.count() == AT_ONCE + 9
    assert not Invoice.objects.filter(customer__name="Customer 3").exists()


def test_only_so_many_are_invoiced_at_once(workflows: Workflows) -> None:
    customers(AT_ONCE + 10)
    execution = bill()
    most = 0

    def count(one: Bill) -> int:
        nonlocal most
        most = max(most, Execution.objects.for_workflow(invoice_customer).unfinished().count())
        return one.customer_id

    workflows.fake(write_invoice, count)
    workflows.result(execution)
    assert most == AT_ONCE


def test_a_month_is_billed_once(workflows: Workflows) -> None:
    customers(3)
    first, second = bill(), bill()
    assert first.id == second.id
    workflows.run_to_end()
    assert workflows.result(bill()) == workflows.result(first)
    assert Invoice.objects.count() == 3


def test_the_schedule_bills_the_month_that_it_was_meant_for(workflows: Workflows) -> None:
    """However late a worker comes, within three days."""
    customers(3)
    trigger = Trigger.objects.get(workflow="bill_customers", pattern="first of month at 6am")
    assert trigger.next_at is not None
    assert (trigger.next_at.day, trigger.next_at.hour) == (1, 6)
    workflows.skip(trigger.next_at - workflows.now() + timedelta(days=2))
    (execution,) = [one for one in workflows.fire_schedules() if one.trigger_id == trigger.pk]
    assert workflows.result(execution) == Decimal("28.50")
    assert set(Invoice.objects.values_list("period", flat=True)) == {f"{trigger.next_at:%Y-%m}"}


def test_who_has_an_invoice_gets_no_second_one(workflows: Workflows) -> None:
    customers(3)
    workflows.result(bill())
    customer = Customer.objects.create(name="New", email="new@example.com", monthly_fee=Decimal("1.50"))
    assert workflows.result(bill_customers.start("2026-01")) == Decimal("30.00")
    assert Invoice.objects.count() == 4
    assert customer.invoices.count() == 1


def test_a_month_must_be_said(workflows: Workflows) -> None:
    with pytest.raises(ExecutionFailed, match="Say which month"):
        workflows.result(bill_customers.start())


def test_every_month_is_billed(workflows: Workflows) -> None:
    customers(3)
    for period in ("2026-01", "2026-02"):
        workflows.result(bill(period))
    assert Invoice.objects.count() == 6


def test_nobody_to_bill_is_no_error(workflows: Workflows) -> None:
    assert workflows.result(bill()) == 0


def test_who_comes_while_the_batch_runs_is_billed_next_month(workflows: Workflows) -> None:
    customers(3)
    original = write_invoice.fn

    def write(one: Bill) -> int:
        Customer.objects.get_or_create(email="late@example.com", defaults={"name": "Late", "monthly_fee": 1})
        return int(original(one))

    workflows.fake(write_invoice, write)
    workflows.result(bill())
    assert Invoice.objects.count() == 3


def test_one_customer_who_cannot_be_billed_harms_no_other_and_can_be_retried(workflows: Workflows) -> None:
    unlucky = customers(5)[2]
    original = write_invoice.fn

    def write(one: Bill) -> int:
        if one.customer_id == Customer.objects.get(name="Customer 2").pk:
            raise RuntimeError("no address")
        return int(original(one))

    execution = bill()
    with workflows.fake(write_invoice, write), pytest.raises(ExecutionFailed, match="no address"):
        workflows.result(execution)
    assert Invoice.objects.count() == 4
    execution.retry()
    assert workflows.result(execution) == Decimal("47.50")
    assert Invoice.objects.filter(customer__name=unlucky.name).count() == 1


def test_the_batch_goes_the_same_way_when_it_is_replayed_at_every_step(workflows_evicting: Workflows) -> None:
    customers(12)
    assert workflows_evicting.result(bill()) == Decimal("114.00")
    assert Invoice.objects.count() == 12
