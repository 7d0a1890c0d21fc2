"""What rules look at, what they remember and what they are. Data only."""

import enum
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from hub.alerts.finding import Confirm
from hub.rules.condition import Condition
from hub.rules.confirming import Answer
from hub.rules.schedule import Schedule


class Place(Protocol):
    """What a rule may know of a device; the registry's ``Device`` fits."""

    @property
    def device_id(self) -> int: ...
    @property
    def gateway(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def sector(self) -> str: ...
    @property
    def latitude(self) -> float | None: ...
    @property
    def longitude(self) -> float | None: ...
    @property
    def watch_group(self) -> str: ...


_EPOCH = datetime.fromtimestamp(0, UTC)


def seconds(instant: datetime) -> float:
    """Unix seconds: instants inside memories are numbers, so that they are JSON."""
    return (instant - _EPOCH).total_seconds()


def instant(at_s: float) -> datetime:
    return _EPOCH + timedelta(seconds=at_s)


@dataclass(frozen=True, slots=True)
class Happening:
    """A stored event as rules see it; ``data`` is its JSON text."""

    id: uuid.UUID
    type: str
    device: Place
    happened_at: datetime
    time_quality: str
    is_drill: bool = False
    data: str | None = None

    @property
    def at(self) -> datetime:
        return self.happened_at

    @property
    def name(self) -> str:
        return self.type

    def fields(self) -> dict[str, Any]:
        """The data as a mapping; empty where it is none."""
        if not self.data:
            return {}
        try:
            decoded = msgspec.json.decode(self.data)
        except (msgspec.DecodeError, RecursionError):  # what only the base64 rescue could keep
            return {}
        return decoded if isinstance(decoded, dict) else {}


class Reading(NamedTuple):
    """A stored measurement as rules see it; ``value`` in the quantity's SenML unit.

    A named tuple: thousands are made in a second.
    """

    device: Place
    quantity: str
    at: datetime
    value: float

    @property
    def name(self) -> str:
        return self.quantity

    @property
    def is_drill(self) -> bool:
        return False


Signal = Happening | Reading


class By(enum.StrEnum):
    """What a rule's memory belongs to: signals of one of these are seen together."""

    DEVICE = "device"
    PLACE = "place"
    SECTOR = "sector"
    GATEWAY = "gateway"
    COMMUNE = "commune"


SCOPE_OF: dict[By, Callable[[Place], str]] = {
    By.DEVICE: lambda d: str(d.device_id),
    By.PLACE: lambda d: f"place:{d.sector}:{d.place}",
    By.SECTOR: lambda d: f"sector:{d.sector}",
    By.GATEWAY: lambda d: f"gateway:{d.gateway}",
    By.COMMUNE: lambda d: "commune",  # noqa: ARG005 - one for all
}

NAMED: dict[By, Callable[[Place], bool]] = {
    By.PLACE: lambda d: bool(d.place),
    By.SECTOR: lambda d: bool(d.sector),
}
"""Where devices are seen together, they must have the name that joins them."""


def _always(_device: Place) -> bool:
    return True


Key = tuple[str, str]
"""(rule, scope): what one memory belongs to."""
NearKey = tuple[str, str, str]
"""(``place`` or ``sector``, its name, quantity): a value measured near a device."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule remembers of one scope: one row.

    ``state`` is JSON (instants as Unix seconds), None once there is nothing to remember. ``due_at`` is when
    the rule wants to be asked again. ``version`` counts the row's changes; 0 while it is not stored.
    """

    state: dict[str, Any] | None = None
    due_at: datetime | None = None
    device_id: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """An operator's conclusion. ``at_s`` is when it became true; ``is_late`` where only old data says so."""

    at_s: float
    value: float | None = None
    count: int | None = None
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a signal or a timer changes: the next state, when to ask again, and what is told."""

    state: dict[str, Any] | None
    due_s: float | None = None
    told: Told | None = None


class Asked(Protocol):
    """What an operator may ask while it decides about one signal."""

    @property
    def device_id(self) -> int: ...
    def holds(self) -> bool:
        """Whether the rule's condition and schedule hold for this signal; asked only when it matters."""
        ...

    def limit(self, limit: "Limit", /) -> float:
        """The device's own limit, or the rule's."""
        ...

    def is_late(self, at_s: float, /) -> bool:
        """Whether something of that instant (Unix seconds) lies before the rule's watermark."""
        ...

    def fields(self) -> Mapping[str, Any]:
        """The event's data; empty for a reading."""
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """A number, or a device's own number under ``name`` with ``value`` for devices that have none."""

    value: float
    name: str | None = None


class Operator(Protocol):
    """How signals become a conclusion. Pure; one file each in ``hub.rules.operators``."""

    @property
    def events(self) -> frozenset[str]: ...
    @property
    def quantities(self) -> frozenset[str]: ...
    @property
    def is_stateful(self) -> bool: ...
    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked, /) -> Step | None:
        """None where nothing changes."""
        ...


@runtime_checkable
class Timed(Protocol):
    """An operator that asks for timers."""

    def on_due(self, state: dict[str, Any], now_s: float, seen_s: float | None, /) -> Step | None:
        """The timer ran out; ``seen_s`` is when the device was last heard (absence only)."""
        ...


@dataclass(frozen=True, slots=True)
class Raise:
    """Another priority where the condition and the schedule hold; the first that holds counts."""

    priority: int
    condition: Condition | None = None
    during: Schedule | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """A value measured in the same place or sector, offered to conditions as ``near.<quantity>``."""

    quantity: str
    scope: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule as loaded. ``version`` is a hash of its text: an alert tells which one raised it.

    ``title`` is Spanish and stands before the device's name. Signals that happened more than
    ``watermark_s`` before they arrived raise nothing new. More than ``max_per_hour`` alerts trip its
    breaker. Empty filters let everything pass.
    """

    name: str
    title: str
    kind: str
    priority: int
    operator: Operator
    version: str = ""
    operator_name: str = ""
    by: By = By.DEVICE
    kinds: frozenset[str] = frozenset()
    sectors: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    condition: Condition | None = None
    during: Schedule | None = None
    raises: tuple[Raise, ...] = ()
    near: tuple[Near, ...] = ()
    confirm: Confirm | None = None
    watermark_s: float = 600.0
    max_per_hour: int = 200
    file: str = ""
    line: int = 0
    source: str = ""
    examples: tuple["Example", ...] = ()

    @property
    def is_cached(self) -> bool:
        """Whether one hub alone changes its memories, by readings: those of a device come in one lane."""
        return self.operator.is_stateful and self.by is By.DEVICE and not self.operator.events

    def is_about(self, device: Place) -> bool:
        """Devices without a sector (or place) are no neighbours: such a rule does not see them together."""
        return (
            NAMED.get(self.by, _always)(device)
            and (not self.kinds or device.kind in self.kinds)
            and (not self.sectors or device.sector in self.sectors)
            and (not self.places or device.place in self.places)
        )


@dataclass(frozen=True, slots=True)
class ExampleSignal:
    """One line of an example: what happens ``at_s`` seconds after its start."""

    at_s: float
    name: str
    is_event: bool
    value: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    device: str = "A"
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """A rule's own test: these signals, from the local time ``start`` on, raise ``alerts`` alerts.

    ``priority`` is what they have in the end, after people's ``answers``.
    """

    name: str
    start: datetime
    signals: tuple[ExampleSignal, ...]
    alerts: int
    priority: int | None = None
    until_s: float = 0.0
    kind: str = ""
    near: Mapping[str, float] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
