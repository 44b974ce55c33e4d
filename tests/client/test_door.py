"""The door as a whole: its names, and the promises it fulfils for lower layers."""

from __future__ import annotations

from datetime import date
from typing import assert_type

import pytest

import django_workflows.authoring.ports as authoring_ports
import django_workflows.models.ports as models_ports
from django_workflows import client
from django_workflows.authoring.ports import Handle
from tests.client.samples import Receipt, door_charge, door_import, door_receipt


def test_the_public_names() -> None:
    """What applications import; everything else may move."""
    assert client.__all__ == [
        "answer_token",
        "aresult",
        "door",
        "get",
        "result",
        "send_event",
        "signal",
        "start",
        "start_many",
        "start_or_get",
        "using",
    ]


def test_it_fulfils_the_protocols_of_the_lower_layers() -> None:
    """mypy compares the signatures."""
    for_definitions: authoring_ports.Client = client.door
    for_models: models_ports.Client = client.door
    assert {for_definitions, for_models} == {client.door}


@pytest.mark.django_db
def test_the_type_of_the_result_is_known() -> None:
    """mypy says so, for functions of both colours."""
    assert_type(client.start(door_import, "a.csv"), Handle[int])
    assert_type(client.start(door_receipt, date(2026, 2, 28)), Handle[Receipt])
    assert_type(client.start(door_charge, 7), Handle[str])
    assert_type(door_import.start("a.csv"), Handle[int])
