"""Fulfilling an order: charge it, reserve its stock, have it approved when it is large, ship it, tell the customer."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from django.core.mail import send_mail
from django.db.models import F
from django.utils.crypto import get_random_string

from django_workflows import Context, Retry, current_step, step, workflow
from testproject.shop import conf, provider
from testproject.shop.models import Order, Product, Shipment

LARGE = Decimal(1000)

# Giving up on a charge whose answer was lost could leave a customer charged for nothing: ask until the provider says.
UNTIL_ANSWERED = Retry(max_attempts=None, max_interval="1 minute")


class Outcome(StrEnum):
    SHIPPED = "shipped"
    DECLINED = "card declined"
    SOLD_OUT = "sold out"
    NOT_APPROVED = "not approved"


@workflow(tags=["shop"])
def fulfil(ctx: Context, number: str, amount: Decimal) -> Outcome:
    """From the imported order to the parcel at the customer's door."""
    ctx.state["phase"] = "charging"
    charge_id = ctx.do(charge_order, number, amount)
    if charge_id is None:
        return cancel(ctx, number, Outcome.DECLINED)
    ctx.do(mark_paid, number, charge_id)

    if not ctx.do(reserve_stock, number):
        return refund(ctx, number, charge_id, Outcome.SOLD_OUT)

    if amount >= LARGE:
        ctx.state["phase"] = "waiting for approval"
        if ctx.wait_for_signal("approved", timeout=conf.approval_timeout()) is None:
            return refund(ctx, number, charge_id, Outcome.NOT_APPROVED)

    ctx.state["phase"] = "shipping"
    tracking_code = ctx.run(ship, number)
    ctx.do(tell_customer, number, f"Your parcel is on its way. Follow it with the code {tracking_code}.")
    ctx.state["phase"] = str(Outcome.SHIPPED)
    return Outcome.SHIPPED


@workflow(tags=["shop"])
def ship(ctx: Context, number: str) -> str:
    """Hand the parcel to the courier; returns the code to track it by."""
    tracking_code = ctx.do(print_label, number)
    ctx.sleep("Until the courier comes", conf.courier_time())
    ctx.do(mark_shipped, number)
    return tracking_code


# A workflow is a plain function: what several of its ends share is a function too, and gets the same `ctx`.
def refund(ctx: Context, number: str, charge_id: str, outcome: Outcome) -> Outcome:
    ctx.do(refund_charge, charge_id)
    return cancel(ctx, number, outcome)


def cancel(ctx: Context, number: str, outcome: Outcome) -> Outcome:
    ctx.do(mark_cancelled, number)
    ctx.do(tell_customer, number, f"We are sorry, your order is cancelled: {outcome}. You pay nothing.")
    ctx.state["phase"] = str(outcome)
    return outcome


@step(retry=UNTIL_ANSWERED, timeout="30 seconds")
def charge_order(number: str, amount: Decimal) -> str | None:
    """The id of the charge; None when the card was declined, which is an answer and no error.

    The idempotency key is the same on every attempt, so the provider charges once however often it is asked.
    """
    try:
        return provider.charge(number, amount, idempotency_key=current_step().idempotency_key)
    except provider.CardDeclined:
        return None


@step(retry=UNTIL_ANSWERED, timeout="30 seconds")
def refund_charge(charge_id: str) -> str:
    return provider.refund(charge_id, idempotency_key=current_step().idempotency_key)


# What an atomic step writes and the fact that it is done are committed together: stock is never taken twice.
@step(atomic=True)
def mark_paid(number: str, charge_id: str) -> None:
    Order.objects.filter(number=number).update(status=Order.Status.PAID, charge_id=charge_id)


@step(atomic=True)
def reserve_stock(number: str) -> bool:
    """Take the stock off the shelf; False when there is not enough."""
    order = Order.objects.get(number=number)
    on_the_shelf = Product.objects.filter(pk=order.product_id, stock__gte=order.quantity)
    if not on_the_shelf.update(stock=F("stock") - order.quantity):
        return False
    order.status = Order.Status.RESERVED
    order.save(update_fields=["status"])
    return True


@step(atomic=True)
def mark_cancelled(number: str) -> None:
    order = Order.objects.get(number=number)
    if order.status == Order.Status.RESERVED:
        Product.objects.filter(pk=order.product_id).update(stock=F("stock") + order.quantity)
    order.status = Order.Status.CANCELLED
    order.save(update_fields=["status"])


@step(atomic=True)
def print_label(number: str) -> str:
    order = Order.objects.get(number=number)
    tracking_code = get_random_string(12, "ABCDEFGHJKLMNPQRSTUVWXYZ23456789")
    return Shipment.objects.create(order=order, tracking_code=tracking_code).tracking_code


@step(atomic=True)
def mark_shipped(number: str) -> None:
    Order.objects.filter(number=number).update(status=Order.Status.SHIPPED)


# Mail has no idempotency key: when the worker dies right after sending, the customer may get it twice.
@step
def tell_customer(number: str, text: str) -> None:
    order = Order.objects.get(number=number)
    send_mail(f"Your order {number}", text, None, [order.email])
