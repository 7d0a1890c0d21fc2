"""PostgreSQL array literals for batched statements: ``unnest($1::text::uuid[])``.

asyncpg looks at every element of an array argument in Python, 0.2 to 0.7 µs each, which is a fifth of a
hub's work when thousands of rows come in a second. One text argument costs a tenth of that, and PostgreSQL
reads it on another core.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias, TypeVar

import msgspec

Plain: TypeAlias = (
    Sequence[int | None] | Sequence[float | None] | Sequence[bool] | Sequence[str] | Sequence[datetime]
)
_T = TypeVar("_T")


def literal(column: Plain) -> str:
    """Finite numbers, times, and texts without control characters, such as ids and names of the contract.

    JSON writes them as an array literal does, but for the brackets.
    """
    return "{" + msgspec.json.encode(column)[1:-1].decode() + "}"


def or_none(column: list[_T | None]) -> list[_T | None] | None:
    """An array argument, or none where it holds nothing: unnest() makes nulls of a missing one."""
    return column if any(value is not None for value in column) else None


def text_literal(column: Iterable[str | None]) -> str:
    """Any texts that repeat themselves much."""
    return "{" + ",".join([_quoted(text) for text in column]) + "}"


@lru_cache(4096)
def _quoted(text: str | None) -> str:
    if text is None:
        return "null"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bytes_literal(column: Iterable[bytes]) -> str:
    """Octets in hexadecimal."""
    return "{" + ",".join(['"\\\\x' + octets.hex() + '"' for octets in column]) + "}"
