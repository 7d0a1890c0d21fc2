"""Frozen figures: kept with their formula, queries and rows under a hash, and computed again on demand."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from hub.database import Connection, Pool
from hub.plan.computing import Datum, NoData, Row, Use
from hub.plan.errors import PlanError
from hub.plan.facts import Asking, gather, uses_of, window_of
from hub.plan.figures import Figure, compute_all
from hub.plan.formula import references, render, version
from hub.plan.measures import VOCABULARY
from hub.plan.model import Indicator
from hub.plan.periods import SANTIAGO, Period, parse_period, period_of

LIBRARY = "BASE"
"""The plan id under which the ready indicators are kept."""
MAX_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One frozen figure. ``document`` is canonical JSON, ``sha256`` its hash."""

    snapshot_id: int
    plan_id: str
    indicator: str
    period: str
    revision: int
    datum: Datum
    document: str
    sha256: str
    author: str
    reason: str
    frozen_at: datetime

    @classmethod
    def from_row(cls, row: Any) -> "Snapshot":
        values = {name: row[name] for name in cls.__slots__ if name != "datum"}
        return cls(**values, datum=NoData(row["no_data"]) if row["value"] is None else row["value"])


@dataclass(frozen=True, slots=True)
class Set:
    """Indicators that are computed together: those of a plan, or the ready ones. ``update``: the plan's."""

    plan_id: str
    update: int
    indicators: Sequence[Indicator]

    def of_kind(self, period_kind: str) -> list[Indicator]:
        return [one for one in self.indicators if one.period == period_kind]


@dataclass(frozen=True, slots=True)
class Verification:
    """``differences`` is empty where the figure comes out as it was frozen. Spanish lines."""

    snapshot: Snapshot
    datum: Datum
    differences: Sequence[str]
    notes: Sequence[str] = ()

    @property
    def is_equal(self) -> bool:
        return not self.differences


def canonical(value: Any) -> str:
    """JSON whose text is the same for the same content."""
    return msgspec.json.encode(value, order="sorted").decode()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# ----------------------------------------------------------------------------------------- freezing


async def compute_period(
    pool: Pool, indicators: Sequence[Indicator], period: Period, asking: Asking
) -> tuple[dict[str, Figure], dict[Use, Sequence[Row]]]:
    """The figures of a period from raw data, and the rows behind them."""
    facts = await gather(pool, uses_of(one.checked.node for one in indicators), period, asking)
    return await asyncio.to_thread(compute_all, indicators, facts), facts


async def freeze(
    pool: Pool, of: Set, period: Period, asking: Asking, *, author: str, reason: str = ""
) -> list[Snapshot]:
    """Freeze the indicators of this kind of period; those that are frozen already are left alone.

    ``reason`` makes another revision of those too. Raises :class:`PlanError` while the period runs.
    """
    if period.until > asking.as_of:
        raise PlanError(f"el período {period.label} no ha terminado; congélelo después")
    indicators = of.of_kind(period.kind)
    done = await _revisions(pool, of.plan_id, period)
    wanted = [one for one in indicators if reason or one.id not in done]
    if not wanted:
        return []
    needed = _with_references(indicators, wanted)
    figures, facts = await compute_period(pool, needed, period, asking)
    texts = {use: await asyncio.to_thread(canonical, rows) for use, rows in facts.items()}
    frozen: list[Snapshot] = []
    async with pool.acquire() as connection, connection.transaction():
        await _keep_facts(connection, texts)
        for one in wanted:
            document = _document(one, of, period, asking, figures, texts)
            revision = done.get(one.id, 0) + 1
            values = (of.plan_id, one.id, period, revision, figures[one.id].datum)
            frozen.append(await _keep(connection, *values, document, author, reason, asking.as_of))
    return frozen


async def provisional(pool: Pool, of: Set, indicator: Indicator, asking: Asking) -> tuple[Period, Datum]:
    """The figure of the period that runs at ``asking.as_of``: it changes until somebody freezes it."""
    period = period_of(indicator.period, asking.as_of.astimezone(SANTIAGO).date())
    needed = _with_references(of.of_kind(indicator.period), [indicator])
    figures, _ = await compute_period(pool, needed, period, asking)
    return period, figures[indicator.id].datum


def _with_references(all_of_kind: Sequence[Indicator], wanted: Sequence[Indicator]) -> list[Indicator]:
    is_alone = all(not references(one.checked.node) for one in wanted)
    return list(wanted if is_alone else all_of_kind)


async def _revisions(pool: Pool, plan_id: str, period: Period) -> dict[str, int]:
    rows = await pool.fetch(
        "select indicator, max(revision) as revision from plan_snapshots where plan_id = $1 and period = $2"
        " group by indicator",
        plan_id,
        period.label,
    )
    return {row["indicator"]: row["revision"] for row in rows}


async def _keep_facts(connection: Connection, texts: Mapping[Use, str]) -> None:
    await connection.executemany(
        "insert into plan_facts (sha256, measure, content) values ($1, $2, $3) on conflict do nothing",
        [(digest(text), use.measure, text) for use, text in texts.items()],
    )


async def _keep(
    connection: Connection,
    plan_id: str,
    indicator: str,
    period: Period,
    revision: int,
    datum: Datum,
    document: str,
    author: str,
    reason: str,
    now: datetime,
) -> Snapshot:
    has_none = isinstance(datum, NoData)
    row = await connection.fetchrow(
        "insert into plan_snapshots (plan_id, indicator, period, revision, until, value, no_data, document,"
        " sha256, author, reason, frozen_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " returning *",
        *(plan_id, indicator, period.label, revision, period.until, None if has_none else datum),
        *(datum.reason if isinstance(datum, NoData) else "", document, digest(document)),
        *(author, reason, now),
    )
    return Snapshot.from_row(row)


def _document(
    indicator: Indicator,
    of: Set,
    period: Period,
    asking: Asking,
    figures: Mapping[str, Figure],
    texts: Mapping[Use, str],
) -> str:
    """All that is needed to compute the figure again, and what came out."""
    node = indicator.checked.node
    uses = uses_of([node])
    return canonical(
        {
            "plan": of.plan_id,
            "update": of.update,
            "indicator": indicator.id,
            "name": indicator.name,
            "unit": indicator.unit,
            "period": period.label,
            "as_of": asking.as_of.isoformat(),
            "formula": indicator.formula,
            "formula_version": version(node),
            "normal_formula": render(node),
            "sectors": list(indicator.sectors),
            "settings": asking.parameters,
            "queries": {use.measure: VOCABULARY[use.measure].sql for use in uses},
            "evidence": [_evidence(use, period, texts[use]) for use in uses],
            "references": {one.indicator: _plain(figures[one.indicator].datum) for one in references(node)},
            "result": _plain(figures[indicator.id].datum),
        }
    )


def _evidence(use: Use, period: Period, text: str) -> dict[str, Any]:
    window = window_of(use, period)
    return {
        "measure": use.measure,
        "days": use.days,
        "years_back": use.years_back,
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "rows": digest(text),
    }


def _plain(datum: Datum) -> Any:
    return {"no_data": datum.reason} if isinstance(datum, NoData) else datum


# ---------------------------------------------------------------------------------------- verifying


async def find(pool: Pool, snapshot_id: int) -> Snapshot:
    """Raises :class:`PlanError` for a snapshot that is not there."""
    row = await pool.fetchrow("select * from plan_snapshots where snapshot_id = $1", snapshot_id)
    if row is None:
        raise PlanError(f"no existe la cifra congelada {snapshot_id}; véalas con «plan snapshots»")
    return Snapshot.from_row(row)


async def verify(pool: Pool, snapshot: Snapshot, indicators: Sequence[Indicator]) -> Verification:
    """Compute a frozen figure again from raw data, as it was known then, and say what differs.

    ``indicators`` are those of the plan's version that it was frozen with.
    """
    document = msgspec.json.decode(snapshot.document)
    if digest(snapshot.document) != snapshot.sha256:
        text = "la cifra guardada fue alterada: su texto no corresponde a su huella SHA-256"
        return Verification(snapshot, NoData("cifra alterada"), [text])
    by_id = {one.id: one for one in indicators}
    indicator = by_id.get(snapshot.indicator)
    if indicator is None or version(indicator.checked.node) != document["formula_version"]:
        text = f"la fórmula congelada ya no es la de esa versión del plan: {document['formula']}"
        return Verification(snapshot, NoData("fórmula distinta"), [text])
    asking = Asking(as_of=datetime.fromisoformat(document["as_of"]), parameters=document["settings"])
    period = parse_period(snapshot.period)
    needed = _with_references([one for one in indicators if one.period == period.kind], [indicator])
    figures, facts = await compute_period(pool, needed, period, asking)
    datum = figures[indicator.id].datum
    differences = _value_differences(snapshot.datum, datum)
    for evidence in document["evidence"]:
        use = Use(evidence["measure"], evidence["days"], evidence["years_back"])
        differences += await _row_differences(pool, evidence, facts[use])
    return Verification(snapshot, datum, differences[:MAX_DIFFERENCES], _query_notes(document))


def _value_differences(frozen: Datum, now: Datum) -> list[str]:
    if frozen == now:
        return []
    return [f"la cifra era {_told(frozen)} y recalculada es {_told(now)}"]


def _told(datum: Datum) -> str:
    return f"«sin dato: {datum.reason}»" if isinstance(datum, NoData) else repr(datum)


def _query_notes(document: Mapping[str, Any]) -> list[str]:
    return [
        f"la consulta de «{name}» cambió desde entonces; se recalculó con la de hoy"
        for name, sql in document["queries"].items()
        if VOCABULARY[name].sql != sql
    ]


async def _row_differences(pool: Pool, evidence: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    text = await asyncio.to_thread(canonical, rows)
    if digest(text) == evidence["rows"]:
        return []
    kept = await pool.fetchval("select content from plan_facts where sha256 = $1", evidence["rows"])
    if kept is None or digest(kept) != evidence["rows"]:
        return [f"las filas guardadas de «{evidence['measure']}» faltan o fueron alteradas"]
    return compare_rows(evidence["measure"], msgspec.json.decode(kept), msgspec.json.decode(text))


def compare_rows(measure: str, old: Sequence[Row], new: Sequence[Row]) -> list[str]:
    """Which rows went, came or changed, and in what. Pure."""
    before, after = ({row["id"]: row for row in rows} for rows in (old, new))
    lines = [f"{measure} {name}: ya no está" for name in before.keys() - after.keys()]
    lines += [f"{measure} {name}: no estaba" for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        changed = [
            f"{field} era {_word(before[name].get(field))} y es {_word(value)}"
            for field, value in after[name].items()
            if before[name].get(field) != value
        ]
        lines += [f"{measure} {name}: {', '.join(changed)}"] if changed else []
    return sorted(lines)


def _word(value: Any) -> str:
    return (
        {None: "nada", True: "sí", False: "no"}.get(value, str(value))
        if not isinstance(value, float)
        else f"{value:g}"
    )


# ------------------------------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class Point:
    """A frozen figure in a series: its newest revision."""

    snapshot_id: int
    indicator: str
    period: str
    datum: Datum


async def series(pool: Pool, plan_id: str, at: datetime, count: int = 12) -> dict[str, list[Point]]:
    """The last ``count`` periods of each indicator that ended by ``at``, the oldest first."""
    rows = await pool.fetch(
        "select * from (select *, row_number() over (partition by indicator order by until desc) as place"
        " from (select distinct on (indicator, until) snapshot_id, indicator, period, until, value, no_data"
        "  from plan_snapshots where plan_id = $1 and until <= $2"
        "  order by indicator, until, revision desc) newest) ranked where place <= $3 order by until",
        plan_id,
        at,
        count,
    )
    found: dict[str, list[Point]] = {}
    for row in rows:
        datum = NoData(row["no_data"]) if row["value"] is None else row["value"]
        point = Point(row["snapshot_id"], row["indicator"], row["period"], datum)
        found.setdefault(row["indicator"], []).append(point)
    return found


async def snapshots_of(pool: Pool, plan_id: str, indicator: str, limit: int = 24) -> list[Snapshot]:
    """All revisions of an indicator, the newest period first."""
    rows = await pool.fetch(
        "select * from plan_snapshots where plan_id = $1 and indicator = $2"
        " order by until desc, revision desc limit $3",
        plan_id,
        indicator,
        limit,
    )
    return [Snapshot.from_row(row) for row in rows]


async def rows_behind(pool: Pool, snapshot: Snapshot) -> dict[str, list[str]]:
    """The evidence list: the ids of the rows of each measure."""
    document = msgspec.json.decode(snapshot.document)
    hashes = {evidence["rows"]: evidence["measure"] for evidence in document["evidence"]}
    rows = await pool.fetch("select sha256, content from plan_facts where sha256 = any($1)", list(hashes))
    return {hashes[row["sha256"]]: [one["id"] for one in msgspec.json.decode(row["content"])] for row in rows}
