"""A register as data: its table, its fields, who keeps it. Pages, files and checks come from this. Pure."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class RegisterError(Exception):
    """What cannot be registered; the message is Spanish and says what to do."""


class StaleError(RegisterError):
    """Somebody else changed the entry meanwhile."""


class Sort(enum.StrEnum):
    """What a field holds, and so how it is typed, shown and checked."""

    TEXT = "text"
    LONG = "long"
    DAY = "day"
    INSTANT = "instant"
    COUNT = "count"
    MONEY = "money"
    CHOICE = "choice"
    FLAG = "flag"
    SHA256 = "sha256"
    FOLIO = "folio"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """``name`` is the column; ``title`` is Spanish and is the CSV's heading too.

    ``is_told_later``: the hub notes when the fact was told. ``of``: the register that a folio belongs to.
    """

    name: str
    title: str
    sort: Sort = Sort.TEXT
    is_needed: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    is_told_later: bool = False
    of: str = ""
    in_list: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """``id`` is its address; ``see`` and ``keep`` are names of permissions.

    ``order`` is the column by which the list runs, the newest first. ``is_restricted``: each reading of an
    entry is audited, and a list too.
    """

    id: str
    table: str
    prefix: str
    title: str
    one: str
    doc: str
    fields: Sequence[Field]
    order: str
    see: str = "see_council"
    keep: str = "keep_council"
    is_restricted: bool = False

    def field(self, name: str) -> Field:
        return next(one for one in self.fields if one.name == name)
