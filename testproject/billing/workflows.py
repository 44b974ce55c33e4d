"""Billing everybody on the first of the month: a child workflow for each customer, so that one failure is one
customer's and can be retried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from django_workflows import Context, cron, step, workflow
from testproject.billing.models import Customer, Invoice

AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    customer_id: int
    period: str


@workflow(triggers=[cron("first of month at 6am", catch_up="3 days")], tags=["billing"])
def bill_customers(ctx: Context, period: str = "", nominal_time: datetime | None = None) -> Decimal:
    """Invoice every active customer who has no invoice yet for a month ("2026-01"); returns the sum of the invoices.

    The schedule gives its nominal time: started late, it bills the month that it was meant for all the same.
    """
    if not period:
        if nominal_time is None:
            raise ValueError('Say which month: bill_customers.start("2026-01").')
        period = f"{nominal_time:%Y-%m}"
    # The list is the result of a step: who comes or goes while the batch is under way does not change it.
    customers = ctx.do(customers_to_bill, period)
    ctx.state["customers"] = len(customers)
    bills = [Bill(customer_id=customer, period=period) for customer in customers]
    ctx.map(invoice_customer, bills, concurrency=AT_ONCE)
    return ctx.do(total_invoiced, period)


@workflow(tags=["billing"])
def invoice_customer(ctx: Context, bill: Bill) -> int:
    """Write one invoice; returns its id."""
    return ctx.do(write_invoice, bill)


@step
def customers_to_bill(period: str) -> list[int]:
    customers = Customer.objects.filter(is_active=True).exclude(invoices__period=period)
    return list(customers.order_by("pk").values_list("pk", flat=True))


@step(atomic=True)
def write_invoice(bill: Bill) -> int:
    """The invoice and the fact that it is written are committed together: nobody gets two, whatever crashes."""
    customer = Customer.objects.get(pk=bill.customer_id)
    return Invoice.objects.create(customer=customer, period=bill.period, amount=customer.monthly_fee).pk


@step
def total_invoiced(period: str) -> Decimal:
    total: Decimal | None = Invoice.objects.filter(period=period).aggregate(total=Sum("amount"))["total"]
    return total or Decimal(0)
