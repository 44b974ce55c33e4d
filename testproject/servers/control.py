"""What customers do with their servers. A name may be used again after its server was destroyed."""

from __future__ import annotations

from django_workflows.models import Execution
from testproject.servers.workflows import server_life


def rent(name: str, size: str = "small") -> None:
    """Get a server; nothing happens when there is one of this name."""
    server_life.using(key=name).start(name, size)


def resize(name: str, size: str) -> None:
    """Change the size soon. Raises `Execution.DoesNotExist` when there is no such server."""
    _life_of(name).signal("resize", size)


def destroy(name: str) -> None:
    """End it soon. Raises `Execution.DoesNotExist` when there is no such server."""
    _life_of(name).signal("destroy")


def _life_of(name: str) -> Execution:
    return Execution.objects.for_workflow(server_life).unfinished().get(key=name)
