"""Any number of async waiters, one thread and one connection."""

from __future__ import annotations

import asyncio
import contextvars
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from django_workflows.client.outcomes import Outcome, look

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.1

Answer = asyncio.Future[Outcome | None]


def longer(pause: float) -> float:
    """The next pause between two looks at what has not ended."""
    return min(1.5 * pause, LONGEST_PAUSE)


def poller(alias: str) -> Poller:
    """The poller of the running event loop for this database."""
    place = (asyncio.get_running_loop(), alias)
    if place not in _pollers:
        _pollers[place] = Poller(*place)
    return _pollers[place]


class Poller:
    """Looks for the outcomes of all executions that somebody on this event loop waits for, in shared queries.

    It lives as long as somebody waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, alias: str) -> None:
        self._loop, self._alias = loop, alias
        self._looking: dict[Answer, UUID] = {}
        self._waiting: dict[Answer, UUID] = {}
        self._joined = asyncio.Event()
        # In an empty context: in the caller's, the thread for sync code would be that of one web request.
        self._task = loop.create_task(self._poll(), context=contextvars.Context())

    async def look(self, id: UUID) -> Outcome | None:
        """The outcome at the next look, final or not; None when there is no such execution."""
        return await self._answer(self._looking, id)

    async def wait(self, id: UUID) -> Outcome | None:
        """The final outcome; None when there is no such execution, or no longer."""
        return await self._answer(self._waiting, id)

    async def _answer(self, among: dict[Answer, UUID], id: UUID) -> Outcome | None:
        answer: Answer = self._loop.create_future()
        among[answer] = id
        self._joined.set()
        try:
            return await answer
        finally:
            among.pop(answer, None)

    async def _poll(self) -> None:
        pause = FIRST_PAUSE
        try:
            while self._looking or self._waiting:
                self._joined.clear()
                await self._look_once()
                # let those who got their answer go, or ask again
                await asyncio.sleep(0)
                if self._looking or self._waiting:
                    pause = FIRST_PAUSE if await self._somebody_joins(pause) else longer(pause)
        finally:
            # from here on who asks gets another poller
            _pollers.pop((self._loop, self._alias), None)
            for answer in (*self._looking, *self._waiting):
                answer.cancel()
            await sync_to_async(self._leave_connection)()

    async def _look_once(self) -> None:
        looking, waiting = dict(self._looking), dict(self._waiting)
        try:
            found = await sync_to_async(look)(self._alias, {*looking.values(), *waiting.values()})
        except Exception as error:
            await sync_to_async(self._leave_connection)()
            for answer in (*looking, *waiting):
                if not answer.done():
                    answer.set_exception(error)
            return
        for answer, id in looking.items():
            _settle(answer, found.get(id))
        for answer, id in waiting.items():
            if (outcome := found.get(id)) is None or outcome.is_final:
                _settle(answer, outcome)

    async def _somebody_joins(self, pause: float) -> bool:
        try:
            async with asyncio.timeout(pause):
                await self._joined.wait()
        except TimeoutError:
            return False
        return True

    def _leave_connection(self) -> None:
        """As Django does after a request: close the connection unless it is to be kept."""
        connections[self._alias].close_if_unusable_or_obsolete()


# Those that somebody waits for. Loops of other threads have entries of their own.
_pollers: dict[tuple[asyncio.AbstractEventLoop, str], Poller] = {}


def _settle(answer: Answer, outcome: Outcome | None) -> None:
    if not answer.done():
        answer.set_result(outcome)
