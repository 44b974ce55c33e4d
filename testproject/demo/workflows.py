"""What the demo adds to the examples: a workflow that nobody starts; events do."""

from __future__ import annotations

from django.core.mail import send_mail

from django_workflows import Context, Received, on, step, workflow

BAD = 2  # stars, or fewer


@workflow(triggers=[on("review.posted")], tags=["demo"])
def read_review(ctx: Context, event: Received) -> str:
    """Thank for a good review; after a bad one, wait for what the customer says to the apology."""
    order, email, stars = event.data["order"], event.data["email"], event.data["stars"]
    if stars > BAD:
        ctx.do(write, email, f"Thank you for {stars} stars for the order {order}.")
        return "thanked"
    ctx.do(write, email, f"We are sorry about the order {order}. What went wrong?")
    answer = ctx.wait_for_event("review.answered", match={"order": order}, timeout="15 seconds")
    return "no answer" if answer is None else f"answered: {answer.data['text']}"


@step
def write(email: str, text: str) -> None:
    send_mail("Your review", text, None, [email])
