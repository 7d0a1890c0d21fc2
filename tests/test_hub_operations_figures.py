"""I13 to I18, twice: by the measures over SQL, and by plain Python over exported rows."""

from datetime import timedelta
from typing import Any

import commune_history
import operation_history
import pytest
from test_hub_plan_figures import ASKING, NOW, Plain, Rows, _metres, _share, of_any_period

from hub.database import Pool
from hub.plan import freezing, service
from hub.plan.computing import NoData
from hub.plan.facts import Asking, fetch
from hub.plan.measures import VOCABULARY
from hub.plan.periods import parse_period

LABELS = ("2026-09", "2026-10", "2026-04", "2026-11", "2026-W43", "2026-T3")
FORTNIGHT = timedelta(days=14)
NAMES = tuple(operation_history.Field(0).tables)


class Field(Plain):
    """The indicators of operations by hand."""

    @classmethod
    async def read_all(cls, pool: Pool, label: str) -> "Field":
        plain = await cls.read(pool, label)
        for name in NAMES:
            plain.tables[name] = [dict(row) for row in await pool.fetch(f"select * from {name}")]
        return plain

    def of(self, table: str, operation: dict[str, Any]) -> Rows:
        return [row for row in self.tables[table] if row["operation_id"] == operation["operation_id"]]

    def state(self, operation: dict[str, Any]) -> str:
        told = [line for line in self.of("operation_log", operation) if line["at"] <= NOW]
        return str(max(told, key=lambda line: line["log_id"])["to_state"])

    def planned(self) -> Rows:
        rows = self.tables["operations"]
        return [o for o in rows if self.since <= o["planned_start"] < self.until and not o["is_drill"]]

    def executed(self) -> Rows:
        return [o for o in self.planned() if self.state(o) in ("executed", "closed")]

    def i13(self) -> float | None:
        planned = self.planned()
        return _share(sum(self.state(o) == "closed" for o in planned), len(planned))

    def i14(self) -> float | None:
        return _share(sum(self._there(o) >= 2 for o in self.executed()), len(self.executed()))

    def _there(self, operation: dict[str, Any]) -> int:
        rows = self.of("operation_institutions", operation)
        return sum(r["present"] > 0 if r["present"] is not None else self._signed(r) for r in rows)

    def _signed(self, row: dict[str, Any]) -> bool:
        return row["signed_at"] is not None and row["signed_at"] <= NOW

    def i15(self) -> float | None:
        return _share(sum(self._is_founded(o) for o in self.executed()), len(self.executed()))

    def _is_founded(self, operation: dict[str, Any]) -> bool:
        visible = {
            a["alert_id"] for a in self.tables["alerts"]
            if not a["is_drill"] and not a["is_reserved"] and a["kind"] not in ("duress", "vif")
        }  # fmt: skip
        return bool(operation["hot_spot"]) or any(
            link["relation"] == "origin"
            and (link["removed_at"] is None or link["removed_at"] > NOW)
            and link["alert_id"] in visible
            for link in self.of("operation_links", operation)
        )

    def inspections(self) -> Rows:
        drills = {o["operation_id"] for o in self.tables["operations"] if o["is_drill"]}
        replaced = {i["replaces"] for i in self.tables["inspections"] if i["recorded_at"] <= NOW}
        return [
            i for i in self.tables["inspections"]
            if i["inspection_id"] not in replaced and i["operation_id"] not in drills
            and i["recorded_at"] <= NOW
        ]  # fmt: skip

    def i16(self) -> float | None:
        found = [i for i in self.inspections() if self.since <= i["inspected_at"] < self.until]
        fined = {row["inspection_id"] for row in self.tables["infringements"]}
        guilty = [i for i in found if i["result"] == "infringement" or i["inspection_id"] in fined]
        return _share(len(guilty), len(found))

    def i17(self) -> float | None:
        real = {o["operation_id"] for o in self.tables["operations"] if not o["is_drill"]}
        cleared = [
            p for p in self.tables["operation_points"]
            if p["operation_id"] in real and p["cleared_at"] and self.since <= p["cleared_at"] < self.until
            and p["cleared_at"] + FORTNIGHT <= NOW
        ]  # fmt: skip
        return _share(sum(self._reappears(p) for p in cleared), len(cleared))

    def _reappears(self, point: dict[str, Any]) -> bool:
        return any(
            i["operation_id"] != point["operation_id"]
            and timedelta() < i["inspected_at"] - point["cleared_at"] <= FORTNIGHT
            and i["permit_state"] in ("expired", "none", "other_place")
            and _metres(self._place(i), point) <= 100
            for i in self.inspections()
        )

    def _place(self, inspection: dict[str, Any]) -> dict[str, Any]:
        if inspection["latitude"] is not None:
            return inspection
        points = self.of("operation_points", inspection)
        return next(p for p in points if p["point"] == inspection["point"])

    def i18(self) -> float | None:
        before = after = 0
        for operation in self.executed():
            if operation["ended_at"] + FORTNIGHT <= NOW:
                start, end = operation["started_at"], operation["ended_at"]
                before += len(self._near(operation, self.confirmed(start - FORTNIGHT, start)))
                after += len(self._near(operation, self.confirmed(end, end + FORTNIGHT)))
        return 100 * (after - before) / before if before else None

    def _near(self, operation: dict[str, Any], events: Rows) -> Rows:
        points = self.of("operation_points", operation)
        if not points:
            return [e for e in events if e["sector"] == operation["sector"]]
        placed = [e for e in events if e["latitude"] is not None]
        return [e for e in placed if any(_metres(e, p) <= 300 for p in points)]


@pytest.fixture
async def field(pool: Pool) -> Pool:
    await commune_history.fill(pool)
    await operation_history.fill(pool)
    return pool


async def test_the_figures_of_operations_come_out_as_by_hand(field: Pool) -> None:
    told = 0
    for label in LABELS:
        period, plain = parse_period(label), await Field.read_all(field, label)
        figures, _ = await freezing.compute_period(field, of_any_period(period), period, ASKING)
        for name in ("I13", "I14", "I15", "I16", "I17"):
            expected, found = getattr(plain, name.lower())(), figures[name].datum
            if expected is None:
                assert isinstance(found, NoData), (label, name)
            else:
                told += 0 < expected < 100
                assert found == pytest.approx(expected, rel=1e-9), (label, name)
        rows = await fetch(field, VOCABULARY["operativo"], period.window(), ASKING)
        before, after = (sum(r[name] or 0 for r in rows) for name in ("eventos_antes", "eventos_despues"))
        assert (100 * (after - before) / before if before else None) == plain.i18(), label
    assert told >= 20  # so the history really has something to count


async def test_what_was_done_later_is_not_known_yet(field: Pool) -> None:
    period = parse_period("2026-10")
    window = period.window()
    early = Asking(as_of=window.since + timedelta(days=10), parameters=ASKING.parameters)
    rows = await fetch(field, VOCABULARY["operativo"], window, early)
    late = await fetch(field, VOCABULARY["operativo"], window, ASKING)
    assert sum(r["acta"] == "cerrada" for r in rows) < sum(r["acta"] == "cerrada" for r in late)
    assert all(r["eventos_despues"] is None for r in rows)
    points = await fetch(field, VOCABULARY["punto"], window, early)
    assert all(row["despejado"] is not True for row in points)  # fourteen days have not gone by


async def test_measures_of_operations_give_just_their_fields(field: Pool) -> None:
    for name in ("operativo", "punto", "fiscalizacion"):
        measure = VOCABULARY[name]
        rows = await fetch(field, measure, parse_period("2026-10").window(), ASKING)
        assert rows
        assert all(row.keys() == {"id", *measure.by_name} for row in rows), name
        assert len({row["id"] for row in rows}) == len(rows), name
        for one in measure.fields:
            values = {row[one.name] for row in rows} - {None}
            assert not one.words or values <= set(one.words), (name, one.name)


async def test_a_drill_enters_no_figure(field: Pool) -> None:
    period = parse_period("2026-10")
    wanted = [one for one in service.library() if one.id in ("I13", "I14", "I15", "I16", "I17")]
    await field.execute("update operations set is_drill = true")
    figures, _ = await freezing.compute_period(field, wanted, period, ASKING)
    free = await field.fetchval("select count(*) from inspections where operation_id is null")
    assert free
    for name in ("I13", "I14", "I15", "I17"):
        assert isinstance(figures[name].datum, NoData), name
    plain = await Field.read_all(field, "2026-10")
    assert figures["I16"].datum == pytest.approx(plain.i16())
