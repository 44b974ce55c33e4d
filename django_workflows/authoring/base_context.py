"""What both colours of `ctx` share, and the types in their signatures."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, NoReturn, ParamSpec, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from django_workflows.authoring import commands
from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.handles import Perform
from django_workflows.authoring.values import ExecutionInfo

P = ParamSpec("P")
R = TypeVar("R")

Startable = WorkflowDefinition[P, R] | StepDefinition[P, R]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Pydantic(Protocol):
    def model_dump(self) -> Any: ...


# What may follow the name of a step: no function, so that one after a label is held to its signature.
Scalar = bool | int | float | str | bytes | Decimal | UUID | Enum | date | time | timedelta | None
Data = Scalar | Mapping[Any, Any] | Sequence[Any] | Set[Any] | Struct | _Dataclass | _Pydantic

NOW = commands.Record("now", None, datetime)
UUID4 = commands.Record("uuid", uuid.uuid4, uuid.UUID)
RANDOM = commands.Record("random", random.random, float)


class BaseContext:
    """What both colours share: `execution`, the published `state`, and the ends."""

    def __init__(self, perform: Perform, execution: ExecutionInfo, state: dict[str, Any]) -> None:
        self._perform, self.execution, self.state = perform, execution, state

    def __reduce__(self) -> NoReturn:
        raise TypeError("The context cannot be stored or sent; pass the values that a step needs.")
