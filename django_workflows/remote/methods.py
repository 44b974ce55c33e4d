"""The calls as methods of both clients: written once, typed for each."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from django_workflows.remote import calls
from django_workflows.remote.calls import Call

P = ParamSpec("P")
R = TypeVar("R")


class Waiting(ABC):
    """A client that gives the result."""

    @abstractmethod
    def perform(self, call: Call[R]) -> R:
        """Carry a call out."""


class Awaiting(ABC):
    """A client that gives something to await."""

    @abstractmethod
    async def perform(self, call: Call[R]) -> R:
        """Carry a call out."""


class Method(Generic[P, R]):
    """A call as a method: makes it of its arguments and carries it out."""

    def __init__(self, make: Callable[P, Call[R]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Waiting, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._make)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.perform(self._make(*args, **kwargs))

        vars(method)["__signature__"] = self.__signature__
        return method

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        """As people call it: the result, instead of the call that asks for it."""
        signature = inspect.signature(self._make)
        result = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
        return signature.replace(return_annotation=result)


class Methods:
    """Everything that can be asked."""

    create_workflow = Method(calls.create_workflow)
    get_workflow = Method(calls.get_workflow)
    update_workflow = Method(calls.update_workflow)
    delete_workflow = Method(calls.delete_workflow)
    list_workflows = Method(calls.list_workflows)
    start_workflow = Method(calls.start_workflow)

    get_execution = Method(calls.get_execution)
    list_executions = Method(calls.list_executions)
    pause_execution = Method(calls.pause_execution)
    resume_execution = Method(calls.resume_execution)
    cancel_execution = Method(calls.cancel_execution)
    retry_execution = Method(calls.retry_execution)
    get_history = Method(calls.get_history)

    send_event = Method(calls.send_event)
    register_trigger = Method(calls.register_trigger)
    unregister_trigger = Method(calls.unregister_trigger)
    list_triggers = Method(calls.list_triggers)
    get_metrics = Method(calls.get_metrics)
