"""One statement out of parts with named arguments.

Each room writes its parts as it writes its other SQL. What has to happen at once, in one round trip and one
transaction of its own, is put together from the parts of several rooms.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# ``:name``, but neither the second half of a cast (``::uuid``) nor a colon inside of a word (``group:%``).
_NAME = re.compile(r"(?<![:\w]):([a-z][a-z_0-9]*)\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with PostgreSQL's ``$1``, and the names in the order of their numbers."""

    sql: str
    names: tuple[str, ...]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """The values by number; raises :class:`KeyError` with the name of one that is missing."""
        return [values[name] for name in self.names]


def statement(*parts: str, result: str) -> Statement:
    """Common table expressions ``name as (...)`` and what is done with them at the end."""
    return numbered("with " + ",\n".join(parts) + "\n" + result)


def numbered(sql: str) -> Statement:
    """A whole statement whose arguments have names."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}"

    return Statement(_NAME.sub(number, sql), tuple(names))
