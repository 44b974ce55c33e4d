"""How long callers of the HTTP API wait, eight of them at once, behind the web servers that people use."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import Permission, User

from benchmarks.caller import Called, Calls
from benchmarks.ours.servers import SERVERS, serving
from benchmarks.ours.workers import ROOT
from benchmarks.protocol import Measurement, Reading, Sizes, percentile
from django_workflows.models import Event, Execution

NAME, PASSWORD = "caller", "secret"
WARM_UP = 25  # calls of each client


def events(sizes: Sizes) -> Reading:
    """Events that nothing waits for."""
    return _measured(sizes, "/api/events", {"name": "order.paid", "data": {"order_id": 42}}, Event.objects.count)


def starts(sizes: Sizes) -> Reading:
    """Executions of a workflow with one argument. No worker is there, so that only the callers are measured."""
    return _measured(sizes, "/api/workflows/one_step/start", {"input": {"number": 1}}, Execution.objects.count)


def _measured(sizes: Sizes, path: str, body: Any, stored: Callable[[], int]) -> Reading:
    """The same calls behind each server. What was answered but not stored counts as not completed."""
    clients, count = sizes["clients"], sizes["samples"] // sizes["clients"]
    calls = Calls(port=0, path=path, body=json.dumps(body), authorization=_make_user(), count=count, warm_up=WARM_UP)
    figures: dict[str, float] = {}
    refused = ""
    for name, server in SERVERS.items():
        with serving(server) as ports:
            called = _called([replace(calls, port=ports[number % len(ports)]) for number in range(clients)])
        figures |= {f"{name}_{figure}": value for figure, value in figures_of(called).items()}
        refused = refused or next((one.refused for one in called if one.refused), "")
    if refused:
        return Reading(cannot=f"An answer was {refused}")
    commands = {name: f"{server.instances} × {server.command}" for name, server in SERVERS.items()}
    return Reading(
        figures=figures, completed=stored(), expected=len(SERVERS) * clients * (count + WARM_UP), facts=commands
    )


def _make_user() -> str:
    """Somebody who may do what is measured and no more, as the header that names him."""
    hasher = MD5PasswordHasher()
    user = User.objects.create(username=NAME, password=hasher.encode(PASSWORD, hasher.salt()))
    user.user_permissions.set(Permission.objects.filter(codename__in=["send_event", "start_execution"]))
    return f"Basic {b64encode(f'{NAME}:{PASSWORD}'.encode()).decode()}"


def _called(clients: Sequence[Calls]) -> list[Called]:
    """Each client in a process of its own, so that none waits for another; all begin together."""
    command = [sys.executable, "-m", "benchmarks.caller"]
    with contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, json.dumps(asdict(calls))],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for calls in clients
        ]
        for caller in callers:
            assert caller.stdout is not None
            if caller.stdout.readline().strip() != "ready":
                raise RuntimeError("A client failed; what it said stands above.")
        for caller in callers:
            assert caller.stdin is not None
            caller.stdin.write("go\n")
            caller.stdin.flush()
        return [Called(**json.loads(caller.communicate()[0])) for caller in callers]


def figures_of(called: Sequence[Called]) -> dict[str, float]:
    """Of all clients together, from the first call of any to the last answer of all."""
    milliseconds = [value for one in called for value in one.milliseconds]
    seconds = max(one.ended for one in called) - min(one.began for one in called)
    return {
        "rate": len(milliseconds) / seconds,
        "p50": percentile(milliseconds, 50),
        "p99": percentile(milliseconds, 99),
    }


MEASUREMENTS: dict[str, Measurement] = {"http-events": events, "http-start": starts}
