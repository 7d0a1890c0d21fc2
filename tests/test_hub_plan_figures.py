"""Every computable indicator, twice: by the room over SQL, and by plain Python over exported rows."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import commune_history
import pytest

from hub.alerts import catalogue
from hub.database import Pool
from hub.plan import freezing, service
from hub.plan.computing import NoData
from hub.plan.errors import PlanError
from hub.plan.facts import Asking
from hub.plan.figures import Figure, by_sector, suppressed
from hub.plan.freezing import LIBRARY, Set
from hub.plan.loading import load_plan, load_topics
from hub.plan.measures import VOCABULARY
from hub.plan.parameters import parameters_of
from hub.plan.periods import Period, parse_period
from hub.plan.versions import Evidence, add_evidence, current, store

SANTIAGO = ZoneInfo("America/Santiago")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CODES = catalogue.load()
ASKING = Asking(as_of=NOW, parameters=parameters_of(CODES))
LABELS = ("2026-09", "2026-10", "2026-04", "2026-W43", "2026-T3")  # two of the months change their hour

Rows = list[dict[str, Any]]


class Plain:
    """The indicators by hand, over the tables as they are."""

    def __init__(self, tables: dict[str, Rows], label: str) -> None:
        self.tables = tables
        self.first, self.last = _days(label)
        self.since, self.until = _midnight(self.first), _midnight(self.last)

    @classmethod
    async def read(cls, pool: Pool, label: str) -> "Plain":
        names = "alerts alert_log devices device_state notifications confirmations contacts plan_population"
        return cls(
            {name: [dict(r) for r in await pool.fetch(f"select * from {name}")] for name in names.split()},
            label,
        )

    def code(self, alert: dict[str, Any]) -> str:
        if alert["classification"]:
            return str(alert["classification"])
        suggested = CODES.suggest(alert["kind"])
        return suggested.code if suggested else {"cattle_theft": "RUR.ABIGEATO"}.get(alert["kind"], "")

    def real(self, since: datetime, until: datetime) -> Rows:
        return [
            a
            for a in self.tables["alerts"]
            if since <= a["opened_at"] < until
            and not a["is_drill"]
            and not a["is_reserved"]
            and a["kind"] not in ("duress", "vif")
            and a["reason"] not in ("test", "drill", "duplicate")
            and not self.code(a).startswith(("TEC", "VIF"))
        ]

    def confirmed(self, since: datetime, until: datetime) -> Rows:
        return [a for a in self.real(since, until) if a["reason"] in ("attended", "referred")]

    def people(self) -> float:
        rows = [p for p in self.tables["plan_population"] if p["season"] == "permanente"]
        return float(sum(p["residents"] for p in rows if p["starts_on"] <= self.first <= p["ends_on"]))

    def i01(self) -> float | None:
        waits = [
            _s(a["acknowledged_at"] - a["opened_at"])
            for a in self.now
            if a["priority"] == 1 and a["acknowledged_at"]
        ]
        return _p(waits, 0.9)

    @property
    def now(self) -> Rows:
        return self.real(self.since, self.until)

    def i02(self) -> float | None:
        arrivals: dict[Any, datetime] = {}
        for line in self.tables["alert_log"]:
            if line["move"] == "arrive":
                arrivals[line["alert_id"]] = min(arrivals.get(line["alert_id"], line["at"]), line["at"])
        waits = [
            _s(arrivals[a["alert_id"]] - a["opened_at"]) / 60 for a in self.now if a["alert_id"] in arrivals
        ]
        return _p(waits, 0.5)

    def i03(self) -> float | None:
        sla = {1: 15, 2: 60, 3: 300, 4: 900}
        good = [
            a
            for a in self.now
            if a["acknowledged_at"] and _s(a["acknowledged_at"] - a["opened_at"]) <= sla[a["priority"]]
        ]
        return _share(len(good), len(self.now))

    def i04(self) -> float | None:
        closed = [a for a in self.now if a["reason"]]
        return _share(
            sum(a["reason"] in ("technical", "nothing_found", "mistaken") for a in closed), len(closed)
        )

    def i09(self) -> float:
        dmcs = {c.code for c in CODES.codes if c.dmcs}
        return (
            1000 * sum(self.code(a) in dmcs for a in self.confirmed(self.since, self.until)) / self.people()
        )

    def i10(self) -> float:
        return (
            1000
            * sum(self.code(a)[:4] == "INC." for a in self.confirmed(self.since, self.until))
            / self.people()
        )

    def i11(self) -> float | None:
        first = self.last - timedelta(days=28)
        after = len(self.confirmed(_midnight(first), self.until))
        before = len(
            self.confirmed(
                _midnight(first.replace(year=first.year - 1)),
                _midnight(self.last.replace(year=self.last.year - 1)),
            )
        )
        return 100 * (after - before) / before if before else None

    def i12(self) -> float | None:
        placed = [
            a
            for a in self.confirmed(self.since - timedelta(days=28), self.until)
            if self.code(a) and a["latitude"] is not None
        ]
        now = [a for a in placed if a["opened_at"] >= self.since]
        return _share(sum(any(self._repeats(a, b) for b in placed) for a in now), len(now))

    def _repeats(self, a: dict[str, Any], b: dict[str, Any]) -> bool:
        age = a["opened_at"] - b["opened_at"]
        is_near = a is not b and self.code(a) == self.code(b) and timedelta() <= age <= timedelta(days=28)
        return is_near and _metres(a, b) <= 200

    # -------------------------------------------------------------------------------- equipment

    def outages(self, device: dict[str, Any]) -> list[tuple[datetime, datetime | None]]:
        found = []
        for a in self.tables["alerts"]:
            is_own = a["kind"] == "device_silent" and a["device_id"] == device["device_id"]
            if is_own or (a["kind"] == "gateway_silent" and a["gateway"] == device["gateway"]):
                cleared = [
                    x["at"]
                    for x in self.tables["alert_log"]
                    if x["alert_id"] == a["alert_id"] and x["move"] == "cleared"
                ]
                began = a["happened_at"] - timedelta(seconds=device["silent_after_s"])
                found.append((began, min(cleared) if cleared else a["closed_at"]))
        return found

    def devices(self, *kinds: str) -> Rows:
        return [d for d in self.tables["devices"] if d["kind"] in kinds and d["created_at"] < self.until]

    def first_seen(self, device: dict[str, Any]) -> datetime | None:
        return next(
            (
                s["first_seen_at"]
                for s in self.tables["device_state"]
                if s["device_id"] == device["device_id"]
            ),
            None,
        )

    def is_down(self, device: dict[str, Any]) -> bool:
        seen = self.first_seen(device)
        if seen is None or seen >= self.until:
            return True
        return any(
            began < self.until and (ended is None or ended >= self.until)
            for began, ended in self.outages(device)
        )

    def i05(self) -> float | None:
        demanded = up = 0.0
        for camera in self.devices("camera"):
            start = max(camera["created_at"], self.since)
            demanded += _s(self.until - start)
            seen = self.first_seen(camera)
            if seen is not None and seen < self.until:
                up += _s(self.until - max(start, seen)) - _covered(
                    self.outages(camera), max(start, seen), self.until
                )
        return _share(up, demanded)

    def i06(self) -> float:
        return float(sum(self._down_for(camera) > timedelta(hours=72) for camera in self.devices("camera")))

    def _down_for(self, camera: dict[str, Any]) -> timedelta:
        seen = self.first_seen(camera)
        if seen is None or seen > self.until:
            return self.until - camera["created_at"]
        began = self.until
        for start, end in sorted(self.outages(camera), reverse=True):
            if start < began and (end is None or end >= began):
                began = start
        return self.until - began

    def i07(self) -> float | None:
        times = [
            _s(ended - began) / 3600
            for d in self.tables["devices"]
            for began, ended in self.outages(d)
            if d["created_at"] < self.until and ended and self.since <= ended < self.until and ended > began
        ]
        return sum(times) / len(times) if times else None

    def i08(self) -> float | None:
        watched = self.devices("panic_button", "river_level")
        flat = {
            a["device_id"]
            for a in self.tables["alerts"]
            if a["kind"] == "battery_low"
            and a["opened_at"] < self.until
            and (not a["closed_at"] or a["closed_at"] >= self.until)
        }
        return _share(sum(not self.is_down(d) and d["device_id"] not in flat for d in watched), len(watched))

    # ----------------------------------------------------------------------------------- people

    def i19(self) -> float | None:
        rural = {p["sector"] for p in self.tables["plan_population"] if p["is_rural"]}
        return _share(sum(self._is_covered(sector) for sector in rural), len(rural))

    def _is_covered(self, sector: str) -> bool:
        devices = [
            d for d in self.tables["devices"] if d["sector"] == sector and d["created_at"] < self.until
        ]
        if any(d["kind"] != "gateway" and self._is_unalarmed(d) for d in devices):
            return True
        groups = {d["watch_group"] for d in devices} - {""}
        people = {f"contact:{c['contact_id']}" for c in self.tables["contacts"] if c["watch_group"] in groups}
        answers = [
            c["at"] for c in self.tables["confirmations"] if c["person"] in people and c["at"] < self.until
        ]
        return bool(answers) and self.until - max(answers) <= timedelta(days=30)

    def _is_unalarmed(self, device: dict[str, Any]) -> bool:
        seen = self.first_seen(device)
        return (
            seen is not None
            and seen < self.until
            and not any(
                (a["kind"] == "device_silent" and a["device_id"] == device["device_id"])
                or a["kind"] == "gateway_silent"
                for a in self.tables["alerts"]
                if a["opened_at"] < self.until and (not a["closed_at"] or a["closed_at"] >= self.until)
            )
        )

    def i20(self) -> float | None:
        groups = {c["contact_id"] for c in self.tables["contacts"] if c["watch_group"]}
        good = {
            a["alert_id"]
            for a in self.tables["alerts"]
            if not a["is_drill"]
            and not a["is_reserved"]
            and a["kind"] != "duress"
            and a["reason"] not in ("test", "drill")
        }
        told: dict[tuple[Any, int], Rows] = defaultdict(list)
        for n in self.tables["notifications"]:
            is_call = n["contact_id"] in groups and n["alert_id"] in good and n["purpose"] == "alert"
            if is_call and self.since <= n["created_at"] < self.until:
                told[n["alert_id"], n["contact_id"]].append(n)
        answers = {(c["alert_id"], c["person"]): c["at"] for c in self.tables["confirmations"]}
        reached = 0
        for (alert, contact), texts in told.items():
            signs = [n["reported_at"] for n in texts if n["is_delivered"]]
            signs += [answers[key] for key in [(alert, f"contact:{contact}")] if key in answers]
            first = min(n["created_at"] for n in texts)
            reached += bool(signs) and min(signs) - first <= timedelta(minutes=10)
        return _share(reached, len(told))


def _days(label: str) -> tuple[date, date]:
    if "W" in label:
        first = date.fromisocalendar(int(label[:4]), int(label[6:]), 1)
        return first, first + timedelta(days=7)
    year = int(label[:4])
    if "T" in label:
        return date(year, 3 * int(label[6]) - 2, 1), date(year, 3 * int(label[6]) + 1, 1)
    month = int(label[5:])
    return date(year, month, 1), date(year, month + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SANTIAGO).astimezone(UTC)


def _s(length: timedelta) -> float:
    return length.total_seconds()


def _share(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def _p(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered, place = sorted(values), share * (len(values) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place % 1)


def _metres(a: dict[str, Any], b: dict[str, Any]) -> float:
    """On a plane that touches the earth there: good to a metre over 200."""
    north = math.radians(a["latitude"] - b["latitude"])
    east = math.radians(a["longitude"] - b["longitude"]) * math.cos(math.radians(a["latitude"]))
    return 6_371_008.8 * math.hypot(north, east)


def _covered(spans: Iterable[tuple[datetime, datetime | None]], since: datetime, until: datetime) -> float:
    covered, at = 0.0, since
    for began, ended in sorted(spans):
        start, end = max(began, at), min(ended or until, until)
        if end > start:
            covered, at = covered + _s(end - start), end
    return covered


BY_HAND = ("I01", "I02", "I03", "I04", "I05", "I06", "I07", "I08", "I09", "I10", "I11", "I12", "I19", "I20")


@pytest.fixture
async def commune(pool: Pool) -> Pool:
    await commune_history.fill(pool)
    return pool


def of_any_period(period: Period) -> list[Any]:
    """The ready indicators, as if each were asked for this kind of period."""
    return [
        one if one.period == "operativo" else replace(one, period=period.kind) for one in service.library()
    ]


async def test_every_indicator_comes_out_as_by_hand(commune: Pool) -> None:
    told = 0
    for label in LABELS:
        period, plain = parse_period(label), await Plain.read(commune, label)
        figures, _ = await freezing.compute_period(commune, of_any_period(period), period, ASKING)
        for name in BY_HAND:
            expected, found = getattr(plain, name.lower())(), figures[name].datum
            if expected is None:
                assert isinstance(found, NoData), (label, name)
            else:
                told += 1
                assert found == pytest.approx(expected, rel=1e-9), (label, name)
    assert told >= 65  # so the history really has something to count


EMPTY = {
    *("actividad", "operativo", "punto", "fiscalizacion"),
    *("victima", "sesion", "acuerdo", "requerimiento", "proyecto"),
}
"""Measures over registers that this small commune does not keep; they are counted elsewhere."""


async def test_every_measure_gives_just_its_fields(commune: Pool) -> None:
    from hub.plan.facts import fetch

    for measure in VOCABULARY.values():
        rows = await fetch(commune, measure, parse_period("2026-10").window(), ASKING)
        assert rows or measure.name in EMPTY, measure.name
        assert all(row.keys() == {"id", *measure.by_name} for row in rows), measure.name
        assert len({row["id"] for row in rows}) == len(rows), measure.name
        for field in measure.fields:
            values = {row[field.name] for row in rows} - {None}
            assert not field.words or values <= set(field.words), (measure.name, field.name)


async def test_no_test_no_drill_and_nothing_reserved_is_counted(commune: Pool) -> None:
    period = parse_period("2026-10")
    [indicator] = [one for one in service.library() if one.id == "I04"]
    before, _ = await freezing.compute_period(commune, [indicator], period, ASKING)
    insert = (
        "insert into alerts select (jsonb_populate_record(a, jsonb_build_object("
        " 'alert_id', gen_random_uuid(),"
        " 'opened_at', '2026-10-15T12:00:00Z', 'closed_at', '2026-10-15T13:00:00Z', 'reason', 'mistaken',"
        " 'state', 'closed', 'kind', 'panic', 'is_drill', false, 'is_reserved', false))).*"
        " from alerts a where classification = 'INC.RUIDOS' limit 1"
    )
    for change in ("is_drill = true", "is_reserved = true", "reason = 'drill'", "reason = 'test'"):
        await commune.execute(insert)
        await commune.execute(f"update alerts set {change} where opened_at = '2026-10-15T12:00:00Z'")
    await commune.execute(insert.replace("'panic'", "'duress'"))
    after, _ = await freezing.compute_period(commune, [indicator], period, ASKING)
    assert after == before
    await commune.execute(insert)
    counted, _ = await freezing.compute_period(commune, [indicator], period, ASKING)
    assert counted != before


async def test_visitors_count_by_the_days_of_their_season(commune: Pool) -> None:
    from hub.plan.checking import check

    [base] = [one for one in service.library() if one.id == "I10"]
    one = replace(base, id="X", checked=check("pob(sector, flotante=true)", VOCABULARY))
    for label, expected in (("2026-01", 58_400), ("2026-03", 28_400 + 30_000 * 15 / 31), ("2026-05", 28_400)):
        figures, _ = await freezing.compute_period(commune, [one], parse_period(label), ASKING)
        assert figures["X"].datum == pytest.approx(expected)


# ------------------------------------------------------------------------------------------ freezing


async def freeze(
    pool: Pool, label: str = "2026-10", at: datetime = NOW, reason: str = ""
) -> list[freezing.Snapshot]:
    of = Set(LIBRARY, 0, service.library())
    return await freezing.freeze(
        pool, of, parse_period(label), replace(ASKING, as_of=at), author="prueba", reason=reason
    )


async def test_each_frozen_figure_is_verified_from_raw_data(commune: Pool) -> None:
    topics = load_topics()
    frozen = [one for label in ("2026-10", "2026-W43", "2026-T3") for one in await freeze(commune, label)]
    assert {one.indicator for one in frozen} == {f"I{n:02}" for n in range(1, 27)} - {"I18"}
    for one in frozen:
        found = await service.verify(commune, topics, one.snapshot_id)
        assert found.is_equal, (one.indicator, found.differences)
        assert not found.notes


async def test_a_figure_frozen_before_the_last_acknowledgements_still_comes_out(commune: Pool) -> None:
    frozen = {one.indicator: one for one in await freeze(commune, at=datetime(2026, 11, 1, 3, tzinfo=UTC))}
    later = {one.indicator: one for one in await freeze(commune, reason="más cierres")}
    # what came in on the last evening was taken, closed and answered meanwhile
    assert [name for name, one in frozen.items() if one.datum != later[name].datum]
    assert later["I04"].revision == 2
    for one in (*frozen.values(), *later.values()):
        assert (await service.verify(commune, load_topics(), one.snapshot_id)).is_equal, one.indicator


async def test_what_changed_since_then_is_named(commune: Pool) -> None:
    [frozen] = [one for one in await freeze(commune) if one.indicator == "I04"]
    behind = await freezing.rows_behind(commune, frozen)
    changed = await commune.fetchval(
        "update alerts set reason = 'attended' where alert_id = (select alert_id from alerts"
        " where alert_id = any($1::uuid[]) and reason = 'mistaken' order by alert_id limit 1)"
        " returning alert_id",
        behind["alerta"],
    )
    found = await service.verify(commune, load_topics(), frozen.snapshot_id)
    assert not found.is_equal
    assert found.differences[0].startswith("la cifra era ")
    assert f"alerta {changed}: cierre era error y es atendida" in found.differences[1]


async def test_a_frozen_figure_cannot_be_changed_and_a_forged_one_is_found(commune: Pool) -> None:
    frozen = (await freeze(commune))[0]
    with pytest.raises(Exception, match="never changed"):
        await commune.execute(
            "update plan_snapshots set value = 1 where snapshot_id = $1", frozen.snapshot_id
        )
    await commune.execute("alter table plan_snapshots disable trigger plan_snapshots_frozen")
    await commune.execute(
        "update plan_snapshots set document = replace(document, 'as_of', 'as_if') where snapshot_id = $1",
        frozen.snapshot_id,
    )
    found = await service.verify(commune, load_topics(), frozen.snapshot_id)
    assert "alterada" in found.differences[0]


async def test_a_forged_value_beside_a_true_document_is_found(commune: Pool) -> None:
    frozen = (await freeze(commune))[0]
    await commune.execute("alter table plan_snapshots disable trigger plan_snapshots_frozen")
    await commune.execute(
        "update plan_snapshots set value = 1, no_data = '' where snapshot_id = $1", frozen.snapshot_id
    )
    assert not (await service.verify(commune, load_topics(), frozen.snapshot_id)).is_equal


async def test_a_period_is_frozen_once_and_not_before_its_end(commune: Pool) -> None:
    assert await freeze(commune)
    assert await freeze(commune) == []
    with pytest.raises(PlanError, match="no ha terminado"):
        await freeze(commune, "2026-11")


# -------------------------------------------------------------------------------------- plan in place


async def test_the_example_plan_in_force(commune: Pool) -> None:
    import importlib.resources

    topics = load_topics()
    text = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
    plan = load_plan(text, topics).plan
    at = datetime(2026, 9, 1, tzinfo=UTC)
    assert await store(commune, plan, topics, author="prueba", now=at)
    assert not await store(commune, plan, topics, author="prueba", now=at)
    with pytest.raises(PlanError, match="escriba «actualizacion: 3»"):
        await store(commune, replace(plan, published_on=None), topics, author="prueba", now=at)
    with pytest.raises(PlanError, match="se cruza"):
        await store(commune, replace(plan, id="OTRO"), topics, author="prueba", now=at)
    version = await current(commune, topics, NOW)
    assert version is not None
    assert version.plan == plan
    await add_evidence(commune, plan, Evidence("O2C1A1", date(2026, 9, 3), "acta", "", "", "prueba"), NOW)
    with pytest.raises(PlanError, match="no existe la actividad"):
        await add_evidence(commune, plan, Evidence("X", date(2026, 9, 3), "acta", "", "", "prueba"), NOW)
    asking = replace(ASKING, as_of=NOW + timedelta(seconds=1))
    frozen = await service.freeze(commune, topics, parse_period("2026-10"), asking, author="prueba")
    figures = {one.indicator: one.datum for one in frozen.new}
    assert figures["I25"] == 100.0  # O2C1A1 has its evidence; O1C1A1 begins in December
    assert {"O1-1", "O1-2", "O1-3", "O2-2", "O2-3"} <= figures.keys()
    assert isinstance(figures["O1-1"], NoData)
    assert not isinstance(figures["O2-3"], NoData)
    for one in frozen.new:
        found = await service.verify(commune, topics, one.snapshot_id)
        assert found.is_equal, (one.indicator, found.differences)


# ----------------------------------------------------------------------------------------- publishing


def test_one_small_cell_takes_another_with_it() -> None:
    cells = {"A": Figure(1.0, 3), "B": Figure(2.0, 9), "C": Figure(3.0, 40)}
    assert suppressed(cells) == {"A": None, "B": None, "C": cells["C"]}
    safe = {name: Figure(1.0, 9) for name in "AB"}
    assert suppressed(safe) == safe
    assert suppressed({"A": Figure(1.0, 0), "B": Figure(1.0, 4), "C": Figure(1.0, 5)})["C"] is not None


async def test_figures_by_sector_add_up(commune: Pool) -> None:
    [indicator] = [one for one in service.library() if one.id == "I10"]
    _, facts = await freezing.compute_period(commune, [indicator], parse_period("2026-10"), ASKING)
    cells = by_sector(indicator, facts)
    assert set(cells) == set(commune_history.SECTORS)
    events = [
        f.datum * p / 1000
        for f, p in zip(cells.values(), (15_000, 9_400, 4_000), strict=True)
        if not isinstance(f.datum, NoData)
    ]
    plain = await Plain.read(commune, "2026-10")
    assert sum(events) == pytest.approx(plain.i10() * 28.4)
