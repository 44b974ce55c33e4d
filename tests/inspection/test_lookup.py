"""Finding one execution by what people have at hand."""

from __future__ import annotations

from uuid import UUID

import pytest

from django_workflows.exceptions import ExecutionNotFound
from django_workflows.inspection import AmbiguousId, find, id_range
from django_workflows.models import Status
from tests.factories import ago, make_execution

pytestmark = pytest.mark.django_db


def test_the_beginning_of_an_id_is_a_range_of_ids() -> None:
    bounds = id_range("3f2b-")

    assert bounds is not None
    assert [str(bound)[:8] for bound in bounds] == ["3f2b0000", "3f2bffff"]
    assert id_range("3f2") is None
    assert id_range("order") is None
    assert id_range("3" * 40) is None


def test_an_id_is_found_whole_or_by_its_beginning() -> None:
    execution = make_execution(id=UUID("3f2b8c1e-0000-4000-8000-000000000001"))
    make_execution(id=UUID("4f2b8c1e-0000-4000-8000-000000000001"))

    for text in (str(execution.id), execution.id.hex, "3f2b", "3F2B8C1E-00", " 3f2b8c1e "):
        assert find(text) == execution


def test_a_beginning_that_several_share_is_refused_with_their_names() -> None:
    one, two = (make_execution(id=UUID(f"3f2b8c1e-0000-4000-8000-00000000000{number}")) for number in (1, 2))

    with pytest.raises(AmbiguousId) as refused:
        find("3f2b")

    assert str(one) in str(refused.value)
    assert str(two) in str(refused.value)


def test_a_key_finds_who_holds_it_else_who_had_it_last() -> None:
    make_execution(Status.COMPLETED, key="order-42", created_at=ago(days=3))
    last = make_execution(Status.COMPLETED, key="order-42", created_at=ago(days=2))
    make_execution(workflow="invoice", key="order-42")

    assert find("fulfil:order-42") == last

    holder = make_execution(Status.PAUSED, key="order-42", created_at=ago(days=5))
    assert find("fulfil:order-42") == holder


def test_a_key_may_contain_colons() -> None:
    execution = make_execution(key="shop:42:a")

    assert find("fulfil:shop:42:a") == execution


@pytest.mark.parametrize("text", ["", "3f2", "zzzz", "fulfil:", "fulfil:none", ":", "0" * 32, "f" * 40, "%"])
def test_what_names_nobody_is_told_with_what_would(text: str) -> None:
    make_execution(key="order-42")

    with pytest.raises(ExecutionNotFound, match="Give an id"):
        find(text)
