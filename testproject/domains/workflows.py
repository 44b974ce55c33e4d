"""A customer brings a domain: somebody looks at it, records are set, a certificate is issued. That may take days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum

from django.core.mail import send_mail

from django_workflows import Context, Retry, current_step, step, workflow
from testproject.domains import conf, registrar
from testproject.domains.models import Domain
from testproject.domains.registrar import CertificateOrder

# Calls may be repeated, so go on until there is an answer. "Not so fast" is an answer: `RetryAfter` says when.
UNTIL_ANSWERED = Retry(max_attempts=None, max_interval="5 minutes")
LOOKS = 12  # before we say that a record will not spread


class Outcome(StrEnum):
    ACTIVE = "active"
    REFUSED = "refused"
    UNSEEN = "nobody has looked at it"
    LOST = "the record did not spread"


@workflow(tags=["domains"])
def set_up_domain(ctx: Context, name: str, address: str) -> Outcome:
    """From the order to a domain that answers over TLS."""
    # A link that works once. Whoever got the mail answers by it, days later perhaps; nothing runs meanwhile.
    ctx.state["phase"] = "waiting for somebody to look at it"
    link = ctx.token("check", timeout=conf.check_timeout())
    ctx.do(ask_for_check, name, link.url)
    answer = link.wait()
    if answer is None:
        return close(ctx, name, Outcome.UNSEEN)
    if answer != {"ok": True}:  # whatever else was posted is no approval
        return close(ctx, name, Outcome.REFUSED)

    ctx.state["phase"] = "setting records"
    ctx.do(set_record, name, "A", address)
    if not wait_until(ctx, "the address is seen", lambda: ctx.do(look_up, name, "A") == address):
        return close(ctx, name, Outcome.LOST)

    ctx.state["phase"] = "waiting for the certificate"
    order = ctx.do(order_certificate, name)
    ctx.do(set_record, order.challenge_name, "TXT", order.challenge)
    if not wait_until(ctx, "the certificate is issued", lambda: ctx.do(certificate_status, order.id) == "issued"):
        return close(ctx, name, Outcome.LOST)
    ctx.do(activate, name, order.id)
    ctx.state["phase"] = str(Outcome.ACTIVE)
    return Outcome.ACTIVE


def wait_until(ctx: Context, what: str, is_so: Callable[[], bool]) -> bool:
    """Look again and again, with pauses that grow. Each pause is a timer in the database: no slot is held."""
    for pause in pauses():
        if is_so():
            return True
        ctx.sleep(f"Until {what}", pause)
    return is_so()


def pauses() -> Iterator[timedelta]:
    """Doubling, up to 64 times the first."""
    for number in range(LOOKS - 1):
        yield conf.first_pause() * 2 ** min(number, 6)


def close(ctx: Context, name: str, outcome: Outcome) -> Outcome:
    ctx.do(give_up, name, str(outcome))
    ctx.state["phase"] = str(outcome)
    return outcome


# The same as `definitions/move_domain.json`, for those who prefer code.
@workflow(tags=["domains"])
def move_domain(ctx: Context, name: str, address: str, pause: str = "1 hour") -> dict[str, str | None]:
    """Point a domain at another address, and tell somebody when the world does not see it after a while."""
    ctx.do(set_record, name, "A", address)
    ctx.sleep("spread", pause)
    seen = ctx.do(look_up, name, "A")
    if seen != address:
        ctx.do(warn, name, seen)
    confirmed = ctx.wait_for_event("domain.confirmed", match={"name": name}, timeout="1 day")
    return {"seen": seen, "by": confirmed.data["by"] if confirmed else None}


@step
def ask_for_check(name: str, url: str) -> None:
    """The address is a secret: it goes into the mail and nowhere else."""
    text = (
        f"Is {name} one of ours, and harmless? Answer once, within {conf.check_timeout()}:\n\n"
        f"curl {url} --json '{{\"ok\": true}}'\n"
    )
    send_mail(f"Please look at {name}", text, None, conf.inspectors())


@step(retry=UNTIL_ANSWERED)
def set_record(name: str, type: str, value: str) -> None:
    registrar.set_record(name, type, value)


@step(retry=UNTIL_ANSWERED)
def look_up(name: str, type: str) -> str:
    return registrar.look_up(name, type)


@step(retry=UNTIL_ANSWERED)
def order_certificate(name: str) -> CertificateOrder:
    """The idempotency key is the same on every attempt, so one certificate is ordered however often we ask."""
    return registrar.order_certificate(name, idempotency_key=current_step().idempotency_key)


@step(retry=UNTIL_ANSWERED)
def certificate_status(id: str) -> str:
    return registrar.certificate_status(id)


@step(atomic=True)
def activate(name: str, certificate: str) -> None:
    Domain.objects.filter(name=name).update(status=Domain.Status.ACTIVE, certificate=certificate)


@step(atomic=True)
def give_up(name: str, why: str) -> None:
    status = Domain.Status.REFUSED if why == Outcome.REFUSED else Domain.Status.FAILED
    Domain.objects.filter(name=name).update(status=status, note=why)


@step
def warn(name: str, seen: str) -> None:
    send_mail(f"{name} has not moved", f"The world still sees {seen or 'nothing'}.", None, conf.inspectors())
