"""A newsletter: one workflow for each subscriber, asleep between two issues, until they have had enough."""

from __future__ import annotations

from django.core.mail import send_mail

from django_workflows import AsyncContext, step, workflow
from testproject.newsletter import conf
from testproject.newsletter.models import Subscriber

ISSUES_A_YEAR = 12


@workflow(tags=["newsletter"])
async def newsletter(ctx: AsyncContext, email: str, issue: int = 1) -> None:
    """Send issue after issue, beginning with `issue`, until the subscriber has left."""
    next_year = issue + ISSUES_A_YEAR

    async def year(ctx: AsyncContext) -> bool:
        for number in range(issue, next_year):
            if not await ctx.do(send_issue, email, number):
                return False
            await ctx.sleep(f"Until issue {number + 1}", conf.interval())
        return True

    # The wait is open beside the whole loop, so that an event which comes while a mail is being sent counts too.
    first = await ctx.race(lambda ctx: ctx.wait_for_event("unsubscribed", match={"email": email}), year)
    if first.index == 1 and first.value:
        await ctx.continue_as_new(email, next_year)  # a new year begins with an empty journal
    await ctx.do(close_subscription, email)


@step
def send_issue(email: str, number: int) -> bool:
    """False when there is no such subscriber any more: between two years no wait is open for a moment."""
    subscribers = Subscriber.objects.filter(email=email, is_active=True)
    if not subscribers.exists():
        return False
    send_mail(f"Newsletter no. {number}", "What happened since the last one.", None, [email])
    subscribers.update(last_issue=number)
    return True


@step(atomic=True)
def close_subscription(email: str) -> None:
    Subscriber.objects.filter(email=email).update(is_active=False)
