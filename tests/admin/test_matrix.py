"""Every page and action of the admin for everybody: a stranger, staff without and with the permission, somebody with
the permission who is no staff, a superuser. A page, a button or an action without a line in the table fails.

The admin has no scope: it is for operators who see everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from django_workflows import definitions
from django_workflows.admin.verbs import VERBS
from django_workflows.models import Execution, Status
from tests.api import matrix
from tests.factories import make_event, make_execution, make_signal, make_step, make_trigger, make_worker, now

SITE = admin.site
NEVER = ("nobody",)  # no permission is enough: such rows are not written by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`needs`: the permissions, of which each is needed and which suffice. `of`: the thing that it is about.

    With `data` it is posted to; what it then does shows in what is stored.
    """

    needs: tuple[str, ...]
    of: str = ""
    args: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None
    more: Mapping[str, str] = field(default_factory=dict)


DOCUMENT = '{"name": "acme_new", "steps": [{"id": "nap", "sleep": "1 hour"}]}'
CHANGED = '{"name": "acme_data", "steps": [{"id": "nap", "sleep": "2 hours"}]}'
TRIGGER = {"workflow": "acme_greet", "type": "event", "pattern": "acme.new", "config": "", "enabled": "on", "note": ""}
POST = {"post": "yes"}

# By the model, and the page, button or action.
PAGES: dict[tuple[str, str], Page] = {
    ("workflow", "changelist"): Page(needs=("view_workflow",)),
    ("workflow", "history"): Page(needs=("view_workflow",), of="data"),
    ("workflow", "change"): Page(
        needs=("change_workflow",), of="data", data={"document": CHANGED, "expected": "1", "enabled": "on"}
    ),
    ("workflow", "add"): Page(needs=("add_workflow",), data={"document": DOCUMENT, "expected": "0"}),
    ("workflow", "delete"): Page(needs=("delete_workflow",), of="data", data=POST),
    ("execution", "changelist"): Page(needs=("view_execution",)),
    ("execution", "history"): Page(needs=("view_execution",), of="waiting"),
    ("execution", "change"): Page(needs=("view_execution",), of="waiting"),
    ("execution", "add"): Page(needs=NEVER, data={}),
    ("execution", "delete"): Page(needs=("delete_execution",), of="done", data=POST),
    ("execution", "verb/pause"): Page(needs=("view_execution", "control_execution"), of="waiting", data={}),
    ("execution", "verb/resume"): Page(needs=("view_execution", "control_execution"), of="paused", data={}),
    ("execution", "verb/cancel"): Page(needs=("view_execution", "control_execution"), of="waiting", data={}),
    ("execution", "verb/retry"): Page(needs=("view_execution", "control_execution"), of="failed", data={}),
    ("execution", "signal"): Page(
        needs=("view_execution", "control_execution"), of="waiting", data={"name": "go", "payload": ""}
    ),
    ("execution", "action/pause_selected"): Page(needs=("view_execution", "control_execution"), of="waiting", data={}),
    ("execution", "action/resume_selected"): Page(needs=("view_execution", "control_execution"), of="paused", data={}),
    ("execution", "action/cancel_selected"): Page(needs=("view_execution", "control_execution"), of="waiting", data={}),
    ("execution", "action/retry_selected"): Page(needs=("view_execution", "control_execution"), of="failed", data={}),
    ("execution", "action/delete_selected"): Page(needs=("view_execution", "delete_execution"), of="done", data=POST),
    ("event", "action/redrive"): Page(needs=("view_event", "send_event"), of="aside", data={}),
    ("trigger", "changelist"): Page(needs=("view_trigger",)),
    ("trigger", "history"): Page(needs=("view_trigger",), of="trigger"),
    ("trigger", "change"): Page(needs=("change_trigger", "start_execution"), of="trigger", data=TRIGGER),
    ("trigger", "add"): Page(needs=("add_trigger", "start_execution"), data=TRIGGER),
    ("trigger", "delete"): Page(needs=("delete_trigger",), of="trigger", data=POST),
    ("trigger", "action/enable_selected"): Page(
        needs=("view_trigger", "change_trigger", "start_execution"), of="off", data={}
    ),
    ("trigger", "action/disable_selected"): Page(needs=("view_trigger", "change_trigger"), of="trigger", data={}),
    ("trigger", "action/fire_selected"): Page(needs=("view_trigger", "start_execution"), of="trigger", data={}),
}
for _model in ("stepresult", "event", "signal", "worker", "workflowversion"):
    PAGES |= {
        (_model, "changelist"): Page(needs=(f"view_{_model}",)),
        (_model, "history"): Page(needs=(f"view_{_model}",), of=_model),
        (_model, "change"): Page(needs=(f"view_{_model}",), of=_model),
        (_model, "add"): Page(needs=NEVER, data={}),
        (_model, "delete"): Page(needs=NEVER, of=_model, data=POST),
    }


@pytest.fixture
def things(db: None) -> dict[str, str]:
    found = matrix.build()
    execution = make_execution(Status.WAITING)
    rows = {
        "stepresult": make_step(execution, "charge"),
        "event": make_event("shown"),
        "aside": make_event("set.aside", set_aside_at=now(), reason="it hung"),
        "signal": make_signal(execution, "go"),
        "worker": make_worker(),
        "off": make_trigger("acme.off", workflow="acme_greet", config={}, enabled=False),
    }
    saved = definitions.save({"name": "acme_shown", "steps": [{"id": "nap", "sleep": "1 hour"}]})
    workflow = definitions.save(matrix.DATA | {"description": matrix.SECRET}).workflow
    own = {"workflowversion": str(saved.version.pk), "data": str(workflow.pk)}
    return found | {name: str(row.pk) for name, row in rows.items()} | own


def browser(*permissions: str, name: str, is_staff: bool = True, is_superuser: bool = False) -> Client:
    user = User.objects.create_user(name, is_staff=is_staff, is_superuser=is_superuser)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="django_workflows", codename__in=permissions)
    )
    client = Client()
    client.force_login(user)
    return client


def every_permission() -> set[str]:
    rows = Permission.objects.filter(content_type__app_label="django_workflows")
    return set(rows.values_list("codename", flat=True))


def visit(client: Client, place: tuple[str, str], things: Mapping[str, str]) -> Any:
    """Look at the page, or post what the table says."""
    (model, what), page = place, PAGES[place]
    target = things.get(page.of, "")
    kind, _slash, which = what.partition("/")
    name = f"admin:django_workflows_{model}_{'changelist' if kind == 'action' else kind}"
    ids = [] if kind == "action" or not target else [target]
    url = reverse(name, args=[*ids, *([which] if kind == "verb" else [])])
    if page.data is None:
        return client.get(url)
    chosen = {"action": which, "_selected_action": [target]} if kind == "action" else {}
    return client.post(url, {**page.data, **chosen})


def is_let_in(answer: Any) -> bool:
    """Neither forbidden nor sent to log in."""
    return answer.status_code in {200, 302} and "/login/" not in answer.headers.get("Location", "")


def found() -> Iterator[tuple[str, str]]:
    """Every page, button and action that there is."""
    request = HttpRequest()
    request.user = User(is_superuser=True, is_staff=True, is_active=True)
    for model, page in SITE._registry.items():
        if model._meta.app_label != "django_workflows":
            continue
        label = model._meta.model_name or ""
        for url in page.get_urls():
            kind = (url.name or "").removeprefix(f"django_workflows_{label}_")
            yield from [(label, f"verb/{verb}") for verb in VERBS] if kind == "verb" else [(label, kind)] * bool(kind)
        yield from [(label, f"action/{name}") for name in page.get_actions(request)]


def test_every_page_button_and_action_has_a_line() -> None:
    assert set(found()) == PAGES.keys()


def test_every_permission_of_the_app_is_one_of_those_of_django_or_of_a_table(db: None) -> None:
    """A new permission that no operation needs says nothing."""
    own = {name for name in every_permission() if name.partition("_")[0] not in {"add", "change", "delete", "view"}}
    lines: list[Any] = [*PAGES.values(), *matrix.REST.values(), *matrix.RPC.values()]
    listed = {name for line in lines for name in line.needs}

    assert own - listed == {"open_webhook", "call_step"}  # see tests/api/test_makers.py


@pytest.mark.parametrize("place", PAGES, ids="-".join)
def test_who_is_not_of_the_staff_gets_to_the_login(things: dict[str, str], place: tuple[str, str]) -> None:
    before = matrix.stored()
    for client in (Client(), browser(*every_permission(), name="customer", is_staff=False)):
        answer = visit(client, place, things)
        assert (answer.status_code, "/login/" in answer.headers["Location"]) == (302, True)
    assert matrix.stored() == before


@pytest.mark.parametrize("place", PAGES, ids="-".join)
def test_without_a_permission_nothing_is_shown_or_done(things: dict[str, str], place: tuple[str, str]) -> None:
    before = matrix.stored()
    for needed in PAGES[place].needs:
        lacking = every_permission() - {needed, needed.replace("view_", "change_")}  # which is enough to look at it
        answer = visit(browser(*lacking, name=f"lacks-{needed}"), place, things)
        if PAGES[place].data is None:
            assert answer.status_code == 403
    answer = visit(browser(name="plain"), place, things)
    assert answer.status_code == 403
    assert matrix.stored() == before


@pytest.mark.parametrize("place", [place for place in PAGES if PAGES[place].needs != NEVER], ids="-".join)
@pytest.mark.parametrize("is_superuser", [False, True])
def test_the_permissions_suffice_here_too(things: dict[str, str], place: tuple[str, str], is_superuser: bool) -> None:
    before = matrix.stored()
    needs = () if is_superuser else PAGES[place].needs
    answer = visit(browser(*needs, name="staff", is_superuser=is_superuser), place, things)

    assert is_let_in(answer)
    assert (matrix.stored() != before) == (PAGES[place].data is not None), answer.content.decode()[-3000:]


@pytest.mark.parametrize("place", [place for place in PAGES if PAGES[place].needs == NEVER], ids="-".join)
def test_what_nobody_writes_by_hand_not_even_a_superuser_does(things: dict[str, str], place: tuple[str, str]) -> None:
    before = matrix.stored()

    assert visit(browser(name="root", is_superuser=True), place, things).status_code == 403
    assert matrix.stored() == before


def test_operators_see_everything_whatever_the_scope(things: dict[str, str], settings: Any) -> None:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_matrix.of_tenant"}
    staff = browser("view_execution", name="other")

    assert staff.get(reverse("admin:django_workflows_execution_change", args=[things["waiting"]])).status_code == 200
    assert Execution.objects.filter(pk=things["waiting"]).exists()
