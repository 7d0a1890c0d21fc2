"""Registers' one door: entries found, listed, written, changed; each change noted field by field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from hub.database import Connection, Pool
from hub.plan.periods import SANTIAGO
from hub.registers.model import Register, RegisterError, Sort, StaleError
from hub.registers.values import typed

PAGE = 50
Executor = Pool | Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """``values`` by column."""

    folio: str
    values: Mapping[str, Any]
    author: str
    recorded_at: datetime
    version: int


def _entry(register: Register, row: Any) -> Entry:
    return Entry(
        folio=row["folio"],
        values={field.name: row[field.name] for field in register.fields},
        author=row["author"],
        recorded_at=row["recorded_at"],
        version=row["version"],
    )


def _columns(register: Register) -> str:
    return ", ".join(
        ("folio", *(field.name for field in register.fields), "author", "recorded_at", "version")
    )


async def find(executor: Executor, register: Register, folio: str) -> Entry:
    """Raises :class:`RegisterError`."""
    row = await executor.fetchrow(
        f"select {_columns(register)} from {register.table} where folio = $1",  # noqa: S608  (names of ours)
        folio,
    )
    if row is None:
        raise RegisterError(f"no existe {folio} en {register.title.lower()}")
    return _entry(register, row)


async def listed(
    executor: Executor,
    register: Register,
    *,
    before: str = "",
    only: Mapping[str, str] | None = None,
    limit: int = PAGE,
) -> list[Entry]:
    """The newest first; ``before`` is the folio of the last entry of the page before; ``only`` by columns."""
    known = {field.name for field in register.fields}
    wanted = [(name, value) for name, value in (only or {}).items() if name in known and value]
    clauses = "".join(f" and {name} = ${place}" for place, (name, _) in enumerate(wanted, 3))
    order = register.order
    rows = await executor.fetch(
        f"select {_columns(register)} from {register.table} t"  # noqa: S608
        f" where ($1 = '' or (t.{order}, t.folio) <"
        f" (select o.{order}, o.folio from {register.table} o where o.folio = $1)){clauses}"
        f" order by {order} desc, folio desc limit $2",
        before,
        limit,
        *(value for _, value in wanted),
    )
    return [_entry(register, row) for row in rows]


async def write(
    connection: Connection,
    register: Register,
    values: Mapping[str, Any],
    *,
    author: str,
    now: datetime,
    folio: str = "",
    version: int | None = None,
) -> str:
    """A new entry without a folio, else the change of one; its folio. In the caller's transaction.

    Raises :class:`RegisterError` for what the database refuses, named in Spanish.
    """
    try:
        async with connection.transaction():
            if not folio:
                return await _insert(connection, register, values, author, now)
            await _update(connection, register, folio, values, author, now, version)
    except asyncpg.ForeignKeyViolationError:
        folios = [f.title for f in register.fields if f.sort is Sort.FOLIO]
        raise RegisterError(f"ese folio no existe; revise {', '.join(folios)}") from None
    except asyncpg.CheckViolationError as error:
        raise RegisterError(f"los datos se contradicen ({error.constraint_name}); revíselos") from None
    return folio


async def _insert(
    connection: Connection, register: Register, values: Mapping[str, Any], author: str, now: datetime
) -> str:
    folio = await _next(connection, register, now)
    names = ["folio", "author", "recorded_at", *values]
    row: list[Any] = [folio, author, now, *values.values()]
    for field in register.fields:
        if field.is_told_later and values.get(field.name) is not None:
            names.append(f"{field.name}_told_at")
            row.append(now)
    marks = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(
        f"insert into {register.table} ({', '.join(names)}) values ({marks})",  # noqa: S608
        *row,
    )
    await _log(connection, register, folio, author, now, {"folio": [None, folio]})
    return folio


async def _next(connection: Connection, register: Register, now: datetime) -> str:
    """The next folio of the year, past those that a file brought along."""
    year = now.astimezone(SANTIAGO).year
    number: int = await connection.fetchval(
        "insert into folio_counters (prefix, year, next)"  # noqa: S608
        " select $1, $2, coalesce(max(substring(folio from '[0-9]+$')::integer), 0) + 2"
        f" from {register.table} where folio like $3"
        " on conflict (prefix, year) do update set"
        " next = greatest(folio_counters.next + 1, excluded.next) returning next - 1",
        *(register.prefix, year, f"{register.prefix}-{year}-%"),
    )
    return f"{register.prefix}-{year}-{number:04}"


async def _update(
    connection: Connection,
    register: Register,
    folio: str,
    values: Mapping[str, Any],
    author: str,
    now: datetime,
    version: int | None,
) -> None:
    await connection.execute(
        f"select from {register.table} where folio = $1 for update",
        folio,
    )
    old = await find(connection, register, folio)
    if version is not None and old.version != version:
        raise StaleError(f"otra persona cambió {folio}; revise cómo quedó antes de guardar")
    changed = {name: value for name, value in values.items() if old.values[name] != value}
    if not changed:
        return
    sets = dict(changed)
    for field in register.fields:
        if field.is_told_later and field.name in changed:
            sets[f"{field.name}_told_at"] = now if changed[field.name] is not None else None
    pairs = ", ".join(f"{name} = ${place}" for place, name in enumerate(sets, 2))
    await connection.execute(
        f"update {register.table} set {pairs}, version = version + 1 where folio = $1",  # noqa: S608
        folio,
        *sets.values(),
    )
    changes = {
        name: [typed(register.field(name), old.values[name]), typed(register.field(name), value)]
        for name, value in changed.items()
    }
    await _log(connection, register, folio, author, now, changes)


async def _log(
    connection: Connection,
    register: Register,
    folio: str,
    author: str,
    now: datetime,
    changes: Mapping[str, Sequence[str | None]],
) -> None:
    await connection.execute(
        "insert into register_log (register, folio, at, author, changes) values ($1, $2, $3, $4, $5)",
        *(register.id, folio, now, author, json.dumps(changes, ensure_ascii=False)),
    )


@dataclass(frozen=True, slots=True)
class Change:
    at: datetime
    author: str
    changes: Mapping[str, Sequence[str | None]]


async def history(executor: Executor, register: Register, folio: str) -> list[Change]:
    """The newest first."""
    rows = await executor.fetch(
        "select at, author, changes from register_log where register = $1 and folio = $2"
        " order by log_id desc limit 200",
        register.id,
        folio,
    )
    return [Change(row["at"], row["author"], json.loads(row["changes"])) for row in rows]
