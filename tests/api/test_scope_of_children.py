"""A scope by tags shows a tenant the children of his executions, and theirs: they inherit the tags."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from django_workflows import Context, workflow
from django_workflows.models import Execution
from django_workflows.testing import Workflows
from tests.api.conftest import OPERATOR, Login


def by_tag(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(tags__tenant=user.username) if rows.model is Execution else rows


@pytest.mark.parametrize("key", [None, "k"])
def test_a_tenant_sees_the_children_of_his_executions(
    workflows: Workflows, login: Login, settings: Any, key: str | None
) -> None:
    @workflow(name="scope_child")
    def child(ctx: Context) -> str:
        return "done"

    @workflow(name="scope_parent")
    def parent(ctx: Context) -> str:
        return ctx.run(child.using(key=key))

    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope_of_children.by_tag"}
    execution = parent.using(tags={"tenant": "acme"}).start()
    assert workflows.result(execution) == "done"
    row = Execution.objects.get(parent=execution.id)

    assert login(*OPERATOR, name="acme").get(f"executions/{row.id}").status_code == 200
    assert login(*OPERATOR, name="other").get(f"executions/{row.id}").status_code == 404
