"""`ctx` of `def` workflows: each call becomes a command for the engine, and gives its result."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn, ParamSpec, TypeVar, overload

from django_workflows.authoring import building, commands
from django_workflows.authoring.base_context import NOW, RANDOM, UUID4, BaseContext, Data, Startable
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.handles import ChildHandle, Token
from django_workflows.authoring.ports import Duration
from django_workflows.authoring.values import Break, Continue, Message, Winner

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Context(BaseContext):
    """The context of a `def` workflow. Every call is remembered; a replay gets the same results."""

    @overload
    def do(self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, label: str, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, label: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, name: str, /, *args: Data, **kwargs: Any) -> Any: ...
    def do(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a step and remember its result; a replay returns what is remembered and does not call the body.

        `fn` is a step, a function, or the name of a registered step. A text before a function is a label, by which
        people and tests find it. The arguments are stored only if the step says so.

        The body runs at least once. It runs again after an error, as its `retry` says (in days, hours or seconds of
        the database's clock), and after the death of its worker. What it returns must have a lossless JSON form.

        Raises:
            StepFailed: the step has used up its attempts, or raised `NonRetryable`; `error.type` and `error.message`
                say what its body raised last. It is raised again on every replay.
            InvalidInput: the arguments do not fit the signature of the step.
            ContextMisuse: `ctx` is used inside a step, in a transaction, or in another thread.
            LimitExceeded: the execution has `WORKFLOWS["MAX_STEPS"]` steps already.
        """
        return self._perform(building.do(fn, args, kwargs))

    @overload
    def sleep(self, duration: Duration, /) -> None: ...
    @overload
    def sleep(self, label: str, duration: Duration, /) -> None: ...
    def sleep(self, *args: Any) -> None:
        """Wait for a duration: seconds, a timedelta, or text ("2 days").

        The deadline is fixed when the call is reached first, by the database's clock; a replay waits for what is left
        of it. Meanwhile the execution needs no thread and no memory. Zero or less returns at once.

        Raises:
            InvalidExpression: the text is no duration.
        """
        self._perform(building.sleep(args))

    @overload
    def sleep_until(self, when: datetime, /) -> None: ...
    @overload
    def sleep_until(self, label: str, when: datetime, /) -> None: ...
    def sleep_until(self, *args: Any) -> None:
        """Wait until a moment; one that has passed returns at once.

        A naive datetime is read in the project's time zone. A replay waits for the same moment.
        """
        self._perform(building.sleep_until(args))

    def wait_for_signal(self, *name: str, timeout: Duration | None = None) -> Message | None:
        """Wait for the next signal of this name that is sent to this execution.

        Signals are kept from before the call, and are consumed in the order in which they were sent, each once. A
        first text of two is a label. `timeout` is a duration: seconds, a timedelta, or text.

        Returns the message (`data`, `id`, `sent_at`), or None when the timeout has passed. A replay gets the same.
        """
        return self._perform(building.wait_for_signal(name, timeout))  # type: ignore[no-any-return]  # by the engine

    def wait_for_event(
        self,
        *name: str,
        match: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        lookback: Duration | None = None,
    ) -> Message | None:
        """Wait for the next published event of this name whose data have the values of `match`.

        Keys of `match` may be dotted paths ("order.id"). An event counts that is published after this call was reached
        first; `lookback`, a duration, also accepts one from that long before. A first text of two is a label, and
        `timeout` is a duration: seconds, a timedelta, or text.

        Returns the message (`data`, `id`, `sent_at`), or None when the timeout has passed. A replay gets the same, and
        no execution gets an event twice.
        """
        return self._perform(building.wait_for_event(name, match, timeout, lookback))  # type: ignore[no-any-return]  # by the engine

    def token(self, *label: str, timeout: Duration | None = None) -> Token:
        """Make a one-time link for somebody outside: `token.url`, and `token.wait()` for the body that is posted to it.

        The address is the permission: who has it may answer, once, until `timeout` has passed (a duration; None: for
        as long as the execution goes on). The database holds only a hash of it. It begins with
        `WORKFLOWS["PUBLIC_URL"]`. A replay makes the same address.
        """
        return Token(self._perform, *self._perform(building.token(label, timeout)))

    @overload
    def run(self, child: Startable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, child: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def run(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Start a child workflow, wait for its end, and return its output.

        `child` is a workflow or a step, perhaps with options (`child.using(queue=…)`), or the name of a workflow. It
        is an execution of its own, with retries, history and a worker of its own. A replay starts no second one.

        Raises:
            ExecutionFailed: the child has failed; `ExecutionCancelled` and `ExecutionTimedOut` are kinds of it.
            InvalidInput: the arguments do not fit the signature of the child.
            UnknownWorkflow: nothing is registered or stored under this name.
        """
        return self._perform(building.child(child, args, kwargs, wait=True))

    @overload
    def start(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> ChildHandle[R]: ...
    @overload
    def start(self, child: str, /, *args: Any, **kwargs: Any) -> ChildHandle[Any]: ...
    def start(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Start a child workflow and go on; the handle's `result()` waits for its end.

        The child gets the tags of this execution, under its own. It is cancelled when this execution is cancelled, and
        its deadline is no later, unless it was started with `parent_close="abandon"`. It goes on when this execution
        completes or fails. A replay returns a handle of the same child.

        Raises what `run()` raises at the start; `result()` raises the rest.
        """
        return self._perform(building.child(child, args, kwargs, wait=False))

    @overload
    def map(
        self, fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], *, concurrency: int | None = None
    ) -> list[R]: ...
    @overload
    def map(
        self, fn: Callable[[T], R] | WorkflowDefinition[[T], R], items: Iterable[T], *, concurrency: int | None = None
    ) -> list[R]: ...
    def map(self, fn: Any, items: Iterable[Any], *, concurrency: int | None = None) -> list[Any]:
        """Call `fn` for each item in parallel; returns the results in the order of the items.

        `fn` is a step, a function of one argument, or a workflow, of which each item becomes a child. At most
        `concurrency` of them are under way (None: all). `items` is read once, and must be the same on a replay.

        Raises the error of the first item that failed, in the order of the items, when all have finished.
        """
        return self._perform(building.map_over(fn, items, concurrency))  # type: ignore[no-any-return]  # by the engine

    def gather(self, *branches: Callable[[Context], Any] | ChildHandle[Any] | Token) -> list[Any]:
        """Run branches in parallel; returns their results in the order of the branches.

        A branch is a function that is called with a `ctx` of its own, the handle of a child or a token.
        All branches finish, then the first error in the order of the branches is raised.
        """
        return self._perform(building.gather(branches))  # type: ignore[no-any-return]  # by the engine

    def race(self, *branches: Callable[[Context], Any] | ChildHandle[Any] | Token) -> Winner[Any]:
        """Run branches in parallel until the first one finishes; it is the winner on every replay.

        Branches are as in `gather()`. Returns a `Winner` with `index` and `value`; raises the error of a
        branch that finished first with one. The others stop at their next call of `ctx`: their timers and waits are
        closed, their children cancelled; a body that runs comes to its end, and its result is ignored.
        """
        return self._perform(building.race(branches))  # type: ignore[no-any-return]  # by the engine

    def loop(self, body: Callable[[Context, Any], Continue | Break], state: Any = None) -> Any:
        """Call `body(ctx, state)` again and again until it returns `Break(value)`; returns that value.

        `Continue(state)` goes on with another state, which must have a lossless JSON form. Finished iterations are
        forgotten, so a loop may go on for years; a replay begins with the iteration that was under way.
        """
        return self._perform(commands.Loop("loop", body, state))

    def now(self) -> datetime:
        """The database's time when this call was made first, with a time zone. A replay returns the same."""
        return self._perform(NOW)  # type: ignore[no-any-return]  # typed by the command's hint

    def uuid(self) -> uuid.UUID:
        """A random UUID, made once. A replay returns the same."""
        return self._perform(UUID4)  # type: ignore[no-any-return]  # as above

    def random(self) -> float:
        """A random number from 0 up to 1, made once; no secret. A replay returns the same."""
        return self._perform(RANDOM)  # type: ignore[no-any-return]  # as above

    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> None:
        """Publish an event, once, with the next commit of this execution.

        With `id`, an event of this id within `WORKFLOWS["EVENT_WINDOW"]` is published only once, whoever publishes it.
        A replay publishes nothing. Raises `PayloadError` when the data have no lossless JSON form.
        """
        self._perform(building.send_event(name, data, id))

    def signal(self, execution: Any, name: str, data: Any = None) -> None:
        """Send a signal to another execution (or to its id), once, with the next commit of this one.

        A signal to an execution that has ended, or that does not exist, is dropped. A replay sends nothing. Raises
        `PayloadError` when the data have no lossless JSON form.
        """
        self._perform(building.signal(execution, name, data))

    def cancel(self, reason: str = "") -> NoReturn:
        """End this execution as cancelled, with the reason kept, and with it its children, but for those that
        were started with `parent_close="abandon"`.

        Nothing after this call runs, `finally:` and `except BaseException:` aside.
        """
        self._perform(building.end("cancel", reason))
        raise AssertionError("the engine unwinds here")

    def pause(self, reason: str = "") -> None:
        """Stop here until an operator resumes the execution; then it goes on after this call. The reason is kept."""
        self._perform(building.end("pause", reason))

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Start over with new input and an empty journal: same id, key and unread signals, and who waits for it goes on
        waiting.

        For what would have too long a history. Nothing after this call runs. Raises `InvalidInput` when the arguments
        do not fit the signature.
        """
        self._perform(building.end("continue_as_new", "", args, kwargs))
        raise AssertionError("the engine unwinds here")
