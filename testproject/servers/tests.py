"""Servers: they live until they are destroyed, and their certificate is renewed in time whatever else happens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_workflows.models import Execution
from django_workflows.testing import Workflows
from testproject.servers.control import destroy, rent, resize
from testproject.servers.models import Server
from testproject.servers.workflows import server_life


def server() -> Server:
    return Server.objects.get(name="web-1")


def life() -> Execution:
    return Execution.objects.for_workflow(server_life).get(key="web-1")


def days_pass(workflows: Workflows, days: int) -> None:
    for _ in range(days):
        workflows.skip("1 day")
        workflows.run_until_idle()


def test_a_server_is_created_with_a_certificate(workflows: Workflows) -> None:
    rent("web-1", "medium")
    workflows.run_until_idle()
    assert (server().size, server().status, server().certificates) == ("medium", "running", 1)
    assert life().status == "waiting"


def test_the_certificate_is_renewed_every_60_days(workflows: Workflows) -> None:
    rent("web-1")
    workflows.run_until_idle()
    days_pass(workflows, 59)
    assert server().certificates == 1
    days_pass(workflows, 2)
    assert server().certificates == 2
    days_pass(workflows, 180)
    assert server().certificates == 5


def test_a_resize_does_not_put_the_renewal_off(workflows: Workflows) -> None:
    rent("web-1")
    workflows.run_until_idle()
    until = server().certified_until
    days_pass(workflows, 50)
    resize("web-1", "large")
    days_pass(workflows, 1)
    assert (server().size, server().certified_until) == ("large", until)
    days_pass(workflows, 10)
    assert server().certificates == 2


def test_every_resize_counts_also_when_they_come_together_or_early(workflows: Workflows) -> None:
    rent("web-1")
    resize("web-1", "medium")
    resize("web-1", "large")
    workflows.run_until_idle()
    assert server().size == "large"
    sizes = [row.output for row in workflows.journal(life()) if row.name == "resize_server"]
    assert sizes == [True, True]


def test_a_size_that_does_not_exist_is_ignored(workflows: Workflows) -> None:
    rent("web-1")
    resize("web-1", "gigantic")
    workflows.run_until_idle()
    assert (server().size, life().status) == ("small", "waiting")


def test_a_server_is_destroyed_and_its_name_can_be_used_again(workflows: Workflows) -> None:
    rent("web-1")
    workflows.run_until_idle()
    destroy("web-1")
    workflows.run_until_idle()
    assert (server().status, server().certified_until) == ("destroyed", None)
    assert life().status == "completed"
    with pytest.raises(Execution.DoesNotExist):
        resize("web-1", "large")
    rent("web-1", "large")
    workflows.run_until_idle()
    assert (server().status, server().size) == ("running", "large")


def test_renting_twice_is_one_server(workflows: Workflows) -> None:
    rent("web-1", "small")
    rent("web-1", "large")
    workflows.run_until_idle()
    assert Execution.objects.for_workflow(server_life).count() == 1
    assert server().size == "small"


def test_destroy_and_resize_at_once_end_with_a_destroyed_server(workflows: Workflows) -> None:
    rent("web-1")
    workflows.run_until_idle()
    resize("web-1", "large")
    destroy("web-1")
    workflows.run_until_idle()
    assert (server().status, life().status) == ("destroyed", "completed")


def test_a_long_life_has_a_short_journal(workflows: Workflows) -> None:
    rent("web-1")
    workflows.run_until_idle()
    for _ in range(24):
        workflows.skip(timedelta(days=61))
        workflows.run_until_idle()
    assert server().certificates == 25
    replayed = [row for row in workflows.journal(life()) if row.status != "forgotten"]
    assert len(replayed) < 10


def test_a_life_goes_the_same_way_when_it_is_replayed_at_every_step(workflows_evicting: Workflows) -> None:
    rent("web-1")
    workflows_evicting.run_until_idle()
    days_pass(workflows_evicting, 61)
    resize("web-1", "large")
    days_pass(workflows_evicting, 61)
    destroy("web-1")
    workflows_evicting.run_until_idle()
    assert (server().certificates, server().size, server().status) == (3, "large", "destroyed")
