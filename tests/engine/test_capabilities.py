"""What a worker learns to execute, and when it asks. No database: the head of the queue and the store are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.registry import registry
from django_workflows.engine.worker import capabilities
from django_workflows.engine.worker.capabilities import AGAIN_SECONDS, Capabilities, LearnedCapabilities, Pair

CODE = Capabilities(queues=("default",), plain=(("code", 1),), asynchronous=())
PLACE = ("default", 0)


class Store:
    """Knows what it is given; counts who asks."""

    def __init__(self) -> None:
        self.known: dict[Pair, WorkflowDefinition[..., Any]] = {}
        self.asked: list[Pair] = []

    def add(self, name: str, version: int = 1, *, is_async: bool = True, missing: tuple[str, ...] = ()) -> Pair:
        async def asynchronous(ctx: Any) -> None: ...
        def plain(ctx: Any) -> None: ...

        fn: Any = asynchronous if is_async else plain
        definition: WorkflowDefinition[..., Any] = WorkflowDefinition(fn, {"name": name, "version": version})
        definition.missing_here = lambda: list(missing)  # type: ignore[method-assign]  # a stand-in
        self.known[name, version] = definition
        return name, version

    def current(self, name: str) -> None: ...

    def version(self, name: str, version: int) -> WorkflowDefinition[..., Any] | None:
        self.asked.append((name, version))
        return self.known.get((name, version))


class World:
    """The head of the queue, and the time."""

    def __init__(self) -> None:
        self.head: set[Pair] = {("code", 1)}
        self.now = 1000.0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(registry, "stored", store)
    return store


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(capabilities, "reading", lambda alias, work: set(world.head))
    monkeypatch.setattr(capabilities, "monotonic", lambda: world.now)
    return world


def test_what_is_due_and_stored_is_learned_once(store: Store, world: World) -> None:
    mine = LearnedCapabilities(CODE, "default")
    assert not mine.learn([PLACE])
    assert store.asked == []
    world.head |= {store.add("flow"), store.add("flow", 2), store.add("plain", is_async=False)}
    assert mine.learn([PLACE])
    assert set(mine.capabilities.asynchronous) == {("flow", 1), ("flow", 2)}
    assert mine.capabilities.plain == (("code", 1), ("plain", 1))
    assert not mine.learn([PLACE])
    assert len(store.asked) == 3


def test_what_is_unknown_or_lacks_a_step_is_asked_for_again_later(store: Store, world: World) -> None:
    mine = LearnedCapabilities(CODE, "default")
    lacking = store.add("lacking", missing=("step",))
    world.head |= {lacking, ("unknown", 1)}
    assert not mine.learn([PLACE])
    assert not mine.learn([PLACE])
    assert len(store.asked) == 2
    store.add("lacking")
    world.now += AGAIN_SECONDS + 1
    assert mine.learn([PLACE])
    assert mine.capabilities.asynchronous == (lacking,)


def test_the_oldest_give_way_and_are_learned_again(store: Store, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim's statement stays short, however many definitions there are."""
    monkeypatch.setattr(capabilities, "MOST_LEARNED", 3)
    mine = LearnedCapabilities(CODE, "default")
    for number in range(5):
        world.head = {store.add(f"flow-{number}")}
        assert mine.learn([PLACE])
    assert mine.capabilities.asynchronous == (("flow-2", 1), ("flow-3", 1), ("flow-4", 1))
    world.head = {("flow-0", 1)}
    assert mine.learn([PLACE])
    assert mine.capabilities.served[-1] == ("flow-0", 1)


def test_a_worker_for_suspects_executes_all_of_them_in_its_one_slot(store: Store, world: World) -> None:
    mine = LearnedCapabilities(Capabilities(queues=(), plain=(), asynchronous=(), alone=True), "default")
    world.head = {store.add("flow")}
    assert mine.learn([PLACE])
    assert (mine.capabilities.plain, mine.capabilities.asynchronous) == ((("flow", 1),), ())


def test_while_claims_find_work_it_looks_now_and_then(store: Store, world: World) -> None:
    mine = LearnedCapabilities(CODE, "default")
    assert mine.is_time()
    mine.learn([PLACE])
    assert not mine.is_time()
    world.now += 2.5
    assert mine.is_time()
