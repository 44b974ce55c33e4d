"""The life of a server as one workflow: it may take years, and most of them it waits."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from django_workflows import Break, Context, Continue, step, workflow
from testproject.servers import conf
from testproject.servers.models import Server


@workflow(tags=["servers"])
def server_life(ctx: Context, name: str, size: str = "small") -> None:
    """Create a server; then resize it and renew its certificate as needed, until it is to be destroyed."""
    ctx.do(create_server, name, size)

    def wait_and_act(ctx: Context, renew_at: datetime) -> Continue | Break:
        # The first of the three decides. A signal that comes for one that lost stays unread until it is waited for
        # again, in the next iteration; and a resize does not move the day of the renewal.
        first = ctx.race(
            lambda ctx: ctx.wait_for_signal("destroy"),
            lambda ctx: ctx.wait_for_signal("resize"),
            lambda ctx: ctx.sleep_until(renew_at),
        )
        if first.index == 0:
            return Break()
        if first.index == 1:
            ctx.do(resize_server, name, first.value.data)
            return Continue(renew_at)
        return Continue(renew(ctx, name))

    # Finished iterations are forgotten, so the journal stays short however long the server lives.
    ctx.loop(wait_and_act, renew(ctx, name))
    ctx.do(destroy_server, name)


def renew(ctx: Context, name: str) -> datetime:
    """Install the next certificate; returns when it is due for renewal."""
    renew_at = ctx.now() + conf.certificate_lifetime()
    ctx.do(install_certificate, name, renew_at)
    return renew_at


@step(atomic=True)
def create_server(name: str, size: str) -> None:
    Server.objects.update_or_create(name=name, defaults={"size": size, "status": Server.Status.RUNNING})


@step(atomic=True)
def install_certificate(name: str, until: datetime) -> None:
    Server.objects.filter(name=name).update(certified_until=until, certificates=F("certificates") + 1)


@step(atomic=True)
def resize_server(name: str, size: str) -> bool:
    """False for a size that we do not have: a wrong message must not end the life of a server."""
    if size not in Server.Size.values:
        return False
    Server.objects.filter(name=name).update(size=size)
    return True


@step(atomic=True)
def destroy_server(name: str) -> None:
    Server.objects.filter(name=name).update(status=Server.Status.DESTROYED, certified_until=None)
