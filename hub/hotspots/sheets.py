"""Sheets of hot spots: computed over the alerts, named, stored, and read back in a moment.

A page never counts a year of alerts: the hub does every hour, and the sheet says of when it is.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.alerts.model import RESTRICTED_KINDS
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.database.statement import Statement
from hub.hotspots import queries
from hub.hotspots.chains import chained
from hub.hotspots.finding import Found, Peak, best_time, compared, find, next_time
from hub.hotspots.model import (
    BASE,
    FAMILIES,
    HALF_LIFE,
    HOURS_FROM,
    MAX_POINTS,
    NOT_FOR_OPERATIONS,
    REPEAT_M,
    REPEAT_WINDOW,
    WINDOW,
    Bin,
    Heat,
    Kind,
    Point,
    Sheet,
    Spot,
)
from hub.hotspots.naming import name_spots
from hub.operations.places import Place, metres

log = logging.getLogger(__name__)

CADENCE_S = 3600.0
POINTS_APART_M = 60.0
MAX_KINDS = 4
_LOCK = 0x666F636F
_TIMEOUT_S = 120.0

Codes = Callable[[], Mapping[str, str]]
"""Which code of the catalogue a kind of alert stands for until somebody classified it."""


async def sheets_loop(pool: Pool, clock: Clock, codes: Codes) -> None:
    """Any number of hubs may run it: the first of an hour computes, the others find fresh sheets."""
    while True:
        try:
            if await _are_due(pool, clock.now()):
                await refresh(pool, clock.now(), codes)
        except UNAVAILABLE as error:
            log.warning("hot spots wait: database away (%s)", type(error).__name__)
        await clock.sleep(CADENCE_S / 12)


async def _are_due(pool: Pool, now: datetime) -> bool:
    newest: datetime | None = await pool.fetchval("select max(computed_at) from hot_spot_sheets")
    return newest is None or now - newest >= timedelta(seconds=CADENCE_S)


async def refresh(pool: Pool, now: datetime, codes: Codes) -> list[Sheet]:
    """Compute every sheet as of ``now`` and store it; nothing at all while another hub does."""
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
            return []
        began = time.perf_counter()
        sheets = await compute(connection, now, codes())
        took_ms = int((time.perf_counter() - began) * 1000)
        await connection.executemany(
            "insert into hot_spot_sheets (family, computed_at, took_ms, sheet) values ($1, $2, $3, $4)"
            " on conflict (family) do update set computed_at = excluded.computed_at,"
            " took_ms = excluded.took_ms, sheet = excluded.sheet",
            [(one.family, now, took_ms, msgspec.json.encode(one).decode()) for one in sheets],
        )
    log.info("hot spots of %d families in %d ms", len(sheets), took_ms)
    return sheets


async def load(pool: Pool, family: str) -> Sheet | None:
    """The newest sheet of a family; None before the first round."""
    text = await pool.fetchval("select sheet::text from hot_spot_sheets where family = $1", family)
    return None if text is None else msgspec.json.decode(text, type=Sheet)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One connection with what every query is asked with."""

    connection: Connection
    values: Mapping[str, Any]

    async def rows(self, statement: Statement, **more: Any) -> list[Any]:
        arguments = statement.arguments({**self.values, **more})
        return list(await self.connection.fetch(statement.sql, *arguments, timeout=_TIMEOUT_S))


async def compute(connection: Connection, now: datetime, codes: Mapping[str, str]) -> list[Sheet]:
    """All sheets as of ``now``. Hot spots that are new get their code here."""
    since = now - WINDOW
    base_since = since - BASE
    first: datetime | None = await connection.fetchval(queries.FIRST, base_since)
    asked = _Asked(
        connection,
        {
            "now": now,
            "since": since,
            "base_since": base_since,
            "hours_since": now - HOURS_FROM,
            "repeat_since": since - REPEAT_WINDOW,
            "repeat_window": REPEAT_WINDOW,
            "repeat_m": REPEAT_M,
            "half_life_s": HALF_LIFE.total_seconds(),
            "codes": json.dumps(dict(codes)),
            "restricted": sorted(RESTRICTED_KINDS),
            "left_out": list(NOT_FOR_OPERATIONS),
        },
    )
    bins, heats = await asked.rows(queries.BINS), await asked.rows(queries.HEATS)
    base_length = since - (first or since)
    return [await _sheet(asked, family, bins, heats, base_length) for family in FAMILIES]


async def _sheet(
    asked: _Asked, family: str, bins: Sequence[Any], heats: Sequence[Any], base_length: timedelta
) -> Sheet:
    mine = [row for row in bins if family in ("", row["family"])]
    placed = [row for row in mine if row["y"] is not None and row["x"] is not None]
    found = await asyncio.to_thread(find, [_bin(row) for row in placed])
    spots = await _spots(asked, family, placed, found, base_length)
    ties = await asked.rows(queries.REPEATS, family=family)
    return Sheet(
        family=family,
        computed_at=asked.values["now"],
        since=asked.values["since"],
        base_since=asked.values["since"] - max(timedelta(), base_length),
        recent=found.recent,
        base=found.base,
        unplaced=sum(row["recent"] for row in mine if row["y"] is None or row["x"] is None),
        active_cells=found.active_cells,
        hidden_cells=found.hidden_cells,
        hidden_events=found.hidden_events,
        cells=found.cells,
        spots=spots,
        heats=_heats(row for row in heats if family in ("", row["family"])),
        repeats=await asyncio.to_thread(chained, ties),
    )


def _bin(row: Any) -> Bin:
    half = queries.BIN_DEGREES / 2
    latitude, longitude = (row[name] * queries.BIN_DEGREES + half for name in ("y", "x"))
    return Bin(latitude, longitude, row["sector"], row["recent"], row["base"], row["weight"])


async def _spots(
    asked: _Asked, family: str, placed: Sequence[Any], found: Found, base_length: timedelta
) -> list[Spot]:
    if not found.peaks:
        return []
    names = await name_spots(asked.connection, found.peaks, asked.values["now"])
    # a square has a row for each family and sector in it, and is asked for once
    rows = ((number, placed[b]) for number, peak in enumerate(found.peaks) for b in peak.bins)
    owned = sorted({(number, row["y"], row["x"]) for number, row in rows})
    where = {
        "family": family,
        "spots": [number for number, _, _ in owned],
        "ys": [y for _, y, _ in owned],
        "xs": [x for _, _, x in owned],
    }
    hours: dict[int, dict[tuple[int, int], tuple[int, float]]] = defaultdict(dict)
    for row in await asked.rows(queries.SPOT_HOURS, **where):
        hours[row["spot"]][row["weekday"], row["hour"]] = (row["events"], row["weight"])
    places: dict[int, list[Any]] = defaultdict(list)
    for row in await asked.rows(queries.SPOT_PLACES, **where):
        places[row["spot"]].append(row)
    spots = []
    for number, peak in enumerate(found.peaks):
        expected, ratio = compared(peak, found, base_length)
        when = best_time(hours[number])
        start, end = next_time(when, asked.values["now"])
        spots.append(
            Spot(
                code=names[number],
                sector=peak.sector,
                cells=peak.cells,
                recent=peak.recent,
                base=peak.base,
                weight=round(peak.weight, 2),
                mean=round(found.mean * len(peak.cells), 2),
                expected=expected,
                ratio=ratio,
                when=when,
                points=_points(places[number], peak),
                kinds=_kinds(places[number]),
                planned_start=start,
                planned_end=end,
            )
        )
    return spots


def _kinds(rows: Iterable[Any]) -> list[Kind]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["code"]] += row["events"]
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [Kind(code, events) for code, events in ordered[:MAX_KINDS]]


def _points(rows: Iterable[Any], peak: Peak) -> list[Point]:
    """The places with the most events, some way apart; one by one where nothing repeats."""
    merged: list[Point] = []
    for row in sorted(rows, key=lambda r: (-r["events"], r["place"], r["latitude"], r["longitude"])):
        here = Place(row["latitude"], row["longitude"])
        for number, known in enumerate(merged):
            if metres(here, Place(known.latitude, known.longitude)) <= POINTS_APART_M:
                more = known.events + row["events"]
                merged[number] = Point(known.name or row["place"], known.latitude, known.longitude, more)
                break
        else:
            merged.append(Point(row["place"], here.latitude, here.longitude, row["events"]))
    chosen = sorted(merged, key=lambda point: -point.events)[:MAX_POINTS]
    return [
        Point(
            one.name or f"{peak.sector} {number}".strip(),
            round(one.latitude, 6),
            round(one.longitude, 6),
            one.events,
        )
        for number, one in enumerate(chosen, 1)
    ]


def _heats(rows: Iterable[Any]) -> list[Heat]:
    """The commune first, then its sectors by name."""
    grids: dict[str, list[list[int]]] = defaultdict(lambda: [[0] * 24 for _ in range(7)])
    for row in rows:
        for sector in {"", row["sector"]}:
            grids[sector][row["weekday"] - 1][row["hour"]] += row["events"]
    return [Heat(name, sum(map(sum, grid)), grid) for name, grid in sorted(grids.items())]
