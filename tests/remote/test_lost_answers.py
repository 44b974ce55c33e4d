"""A proxy loses answers: the client asks again, and everything is done once."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from typing import Any

import pytest

from django_workflows.models import Event, EventType, Execution, Trigger
from django_workflows.remote import Attempts, Conflict, Unavailable
from tests.factories import make_execution
from tests.remote.conftest import Connect, both
from tests.remote.proxies import Proxy

pytestmark = pytest.mark.django_db(transaction=True)


def keys(proxy: Proxy) -> list[Any]:
    """The idempotency keys of the requests that arrived."""
    return [json.loads(body)["params"].get("idempotency_key") for path, body in proxy.seen if path.endswith("/rpc")]


@both
@pytest.mark.parametrize("status", [None, 502])
def test_a_start_is_executed_once(proxy: Proxy, connect: Connect, status: int | None) -> None:
    client = connect(proxy.url)
    proxy.losing, proxy.instead = 3, status
    execution = client.start_workflow("remote_greet", {"name": "Ada"})
    assert Execution.objects.get().pk == execution.id
    assert len(keys(proxy)) == 4
    assert len(set(keys(proxy))) == 1
    again = client.start_workflow("remote_greet", {"name": "Ada"})
    assert again.id != execution.id  # another call, another key


def test_events_and_triggers_are_made_once(proxy: Proxy, connect: Connect) -> None:
    client = connect(proxy.url)
    proxy.losing = 2
    client.send_event("order.created", {"order": 1})
    proxy.losing = 2
    client.register_trigger("remote_greet", "event", "person.*")
    assert Event.objects.filter(type=EventType.EVENT).count() == 1
    assert Trigger.objects.filter(workflow="remote_greet").count() == 1


def test_a_key_of_ones_own_makes_two_calls_one(proxy: Proxy, connect: Connect) -> None:
    client = connect(proxy.url, attempts=Attempts(most=1))
    proxy.losing = 1
    with pytest.raises(Unavailable) as error:
        client.start_workflow("remote_greet", {"name": "Ada"}, idempotency_key="order 1, für Ada ✓")
    assert error.value.idempotency_key == "order 1, für Ada ✓"
    assert "Ask again with idempotency_key=" in str(error.value)
    client.start_workflow("remote_greet", {"name": "Ada"}, idempotency_key="order 1, für Ada ✓")
    assert Execution.objects.count() == 1


@pytest.mark.parametrize("verb", ["pause", "cancel", "resume"])
def test_a_verb_that_an_earlier_attempt_has_carried_out_applied(proxy: Proxy, connect: Connect, verb: str) -> None:
    """The second attempt alone would say no: it is paused already."""
    execution = make_execution("paused" if verb == "resume" else "pending", workflow="remote_greet")
    client = connect(proxy.url)
    proxy.losing = 1
    assert getattr(client, f"{verb}_execution")(execution.id) is True
    execution.refresh_from_db()
    assert execution.status == {"pause": "paused", "cancel": "cancelled", "resume": "pending"}[verb]


def test_a_retry_that_an_earlier_attempt_has_begun_is_answered(proxy: Proxy, connect: Connect) -> None:
    execution = make_execution("failed", workflow="remote_greet")
    client = connect(proxy.url)
    proxy.losing = 1
    assert client.retry_execution(execution.id).status == "pending"


def test_what_an_earlier_attempt_has_removed_is_removed(proxy: Proxy, connect: Connect) -> None:
    client = connect(proxy.url)
    trigger = client.register_trigger("remote_greet", "event", "person.*")
    client.create_workflow({"name": "remote_pause", "steps": [{"id": "pause", "sleep": "5 minutes"}]})
    proxy.losing = 1
    assert client.unregister_trigger(trigger.id) is True
    proxy.losing = 1
    assert client.delete_workflow("remote_pause") is True


def test_a_verb_that_never_applied_is_still_refused_after_a_lost_answer(proxy: Proxy, connect: Connect) -> None:
    done, failed = make_execution("completed"), make_execution("pending")
    client = connect(proxy.url)
    proxy.losing = 1
    assert client.cancel_execution(done.id) is False
    assert client.unregister_trigger(done.id) is False
    with pytest.raises(Conflict):
        client.retry_execution(failed.id)


@both
def test_nobody_there_is_told_after_all_attempts(connect: Connect) -> None:
    client = connect("http://127.0.0.1:9/api/", attempts=Attempts(most=2, first_pause=timedelta(0)))
    with pytest.raises(Unavailable, match=r"getMetrics got no answer in 2 attempt\(s\): Connect"):
        client.get_metrics()


@both
def test_a_server_that_says_nothing_is_given_up_after_the_timeout(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/"
        client = connect(url, attempts=Attempts(most=2, first_pause=timedelta(0)), timeout=timedelta(milliseconds=50))
        with pytest.raises(Unavailable, match="ReadTimeout"):
            client.get_metrics()
