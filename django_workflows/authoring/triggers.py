"""What starts a workflow from outside: `on`, `every`, `cron`, `webhook`. Plain values; nothing here does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from django_workflows.authoring import trigger_rules
from django_workflows.authoring.ports import Duration
from django_workflows.exceptions import DefinitionError

Overlap = Literal["skip", "buffer_one", "allow", "cancel_other"]
Input = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDefinition:
    """A trigger that has been checked: `type` ("event", "schedule", "webhook"), pattern, and plain JSON as config."""

    type: str
    pattern: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """What tells two triggers of one workflow, type and pattern apart: the filter, time zone and static input."""
        return trigger_rules.variant_of(self.type, self.config)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.type, self.pattern, self.variant


def checked(type: str, pattern: str, config: Mapping[str, Any] | None = None) -> TriggerDefinition:
    """The trigger in its canonical form. Raises `InvalidTrigger`, which maps each wrong field to its messages."""
    pattern, complete = trigger_rules.check(type, pattern, config)
    return TriggerDefinition(type=type, pattern=pattern, config=complete)


def on(pattern: str, *, where: Mapping[str, Any] | None = None, input: Input | None = None) -> TriggerDefinition:
    """Start on published events whose name matches: "order.created", "*.refunded" (one word), "shop.**" (any number).

    `where` holds values that (dotted) keys of the event's data must have; an event without the key never matches.
    `input` is given to each execution, beside the event's data and before it.
    """
    return checked("event", pattern, {"where": where or {}, "input": input or {}})


def cron(
    text: str,
    *,
    tz: str = "UTC",
    overlap: Overlap = "skip",
    catch_up: Duration = "1 hour",
    catch_up_all: int | None = None,
    jitter: Duration = 0,
    input: Input | None = None,
) -> TriggerDefinition:
    """Start at the moments of a cron expression ("59 23 LW * *", "@daily") or of a text ("first of month at 6am").

    `overlap` says what happens when the execution before has not finished: "skip" this one, "buffer_one", "allow" both,
    or "cancel_other". After downtime the latest moment missed within `catch_up` counts; with `catch_up_all`, so many of
    them, oldest first. `jitter` spreads the starts over so many seconds after the moment.
    """
    config = {
        "tz": tz,
        "overlap": overlap,
        "catch_up": catch_up,
        "catch_up_all": catch_up_all,
        "jitter": jitter,
        "input": input or {},
    }
    return checked("schedule", text, config)


def webhook(
    path: str, *, verify: str, secret: str = "", event: str | None = None, input: Input | None = None, **options: Any
) -> TriggerDefinition:
    """Start on deliveries to `webhooks/<path>`.

    `verify` names the scheme of the signature: "standard", "github", "gitlab", "paddle", "shopify", "slack", "square",
    "stripe", "twilio", "hmac", "bearer", "basic", "api_key", or "none", which must be said. `secret` names an entry of
    `WORKFLOWS["WEBHOOK_SECRETS"]`. With `event`, a delivery is also published under that name. Further options belong
    to the scheme.
    """
    config = {"verify": verify, "secret": secret, "event": event, "input": input or {}, **options}
    return checked("webhook", path, config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring(TriggerDefinition):
    """A schedule said in words; `at()` adds the time of day, and both take the options of `cron()`."""

    def at(self, time: str, **options: Any) -> Self:
        """At "9am", "17:30", "noon" or "midnight"; the zone is `tz`, else UTC."""
        return self._changed(f"{self.pattern} at {time}", options)

    def using(self, **options: Any) -> Self:
        """With another `tz`, `overlap`, `catch_up`, `catch_up_all`, `jitter` or `input`."""
        return self._changed(self.pattern, options)

    def _changed(self, text: str, options: Mapping[str, Any]) -> Self:
        return type(self).of(text, {**self.config, **options})

    @classmethod
    def of(cls, text: str, config: Mapping[str, Any]) -> Self:
        known = checked("schedule", text, config)
        return cls(type=known.type, pattern=known.pattern, config=known.config)


class _Unit:
    """An attribute that is a schedule: "every", the number if there is one, and its own words."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __get__(self, owner: _Counted | _Every | None, of: type) -> Recurring:
        return Recurring.of(f"{owner or 'every'} {self._words}", {})


class _Counted:
    """`every(5)`: a number that wants its unit."""

    seconds = _Unit("seconds")
    minutes = _Unit("minutes")
    hours = _Unit("hours")
    days = _Unit("days")
    weeks = _Unit("weeks")

    def __init__(self, number: int) -> None:
        self._number = number

    def __str__(self) -> str:
        return f"every {self._number}"


class _Every:
    """`every(5).minutes`, `every.hour`, `every.weekday.at("9am", tz="Europe/Berlin")`. Other texts: `cron("…")`."""

    second = _Unit("second")
    minute = _Unit("minute")
    hour = _Unit("hour")
    day = _Unit("day")
    week = _Unit("week")
    month = _Unit("month")
    quarter = _Unit("quarter")
    year = _Unit("year")
    weekday = _Unit("weekday")
    weekend = _Unit("weekend")
    monday = _Unit("monday")
    tuesday = _Unit("tuesday")
    wednesday = _Unit("wednesday")
    thursday = _Unit("thursday")
    friday = _Unit("friday")
    saturday = _Unit("saturday")
    sunday = _Unit("sunday")

    def __call__(self, number: int) -> _Counted:
        if isinstance(number, bool) or not isinstance(number, int):
            raise DefinitionError(f'every() takes a number: every(5).minutes, not {number!r}. Texts go to cron("…").')
        return _Counted(number)

    def __str__(self) -> str:
        return "every"


every = _Every()
