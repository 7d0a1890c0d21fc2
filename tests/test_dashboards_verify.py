"""``almenara-dashboards verify``: every query expanded and run; what is wrong is named by its panel."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import commune_history
import httpx
import pytest
import pytest_asyncio
from influx_engine import ORG, TOKEN, InfluxEngine, Shim

from dashboards.cli import main
from dashboards.verify.expanding import Range, Value, expand
from dashboards.verify.prometheus import exposed, name_problems, names_of
from dashboards.verify.reading import VerifyError
from hub.database import Pool
from hub.database.readers import ROLE, keep_reader
from hub.servers.child import free_port

PASSWORD = "una-clave-de-prueba"
PG = {"type": "grafana-postgresql-datasource", "uid": "almenara-pg"}
SPAN = Range(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
SECTORS = Value(("Alto", "D'Or"), is_list=True)

NOTED = "select opened_at as time, kind_name as text from panels.alerts where $__timeFilter(opened_at)"
GOOD = {
    "Tomadas": (
        "select opened_at as time, ack_s from panels.alerts where $__timeFilter(opened_at)"
        " and ack_s is not null and sector in ($sector) order by 1"
    ),
    "Por hora": (
        "select $__timeGroupAlias(opened_at, '1h'), avg(ack_s) as media from panels.alerts"
        " where $__timeFilter(opened_at) and sector ~ '^${sector:regex}$' group by 1 order by 1"
    ),
}


def _panel(number: int, title: str, sql: str, unit: str = "s") -> dict[str, Any]:
    target = {"refId": "A", "datasource": PG, "rawSql": sql, "format": "time_series", "rawQuery": True}
    field = {"defaults": {"unit": unit}, "overrides": []}
    return {"id": number, "title": title, "type": "timeseries", "datasource": PG, "fieldConfig": field,
            "targets": [target]}  # fmt: skip


def _board(*panels: dict[str, Any]) -> dict[str, Any]:
    sector = {"name": "sector", "type": "query", "datasource": PG, "multi": True, "includeAll": True,
              "query": "select distinct sector from panels.alerts where sector <> '' order by 1"}  # fmt: skip
    noted = {"name": "P1", "datasource": PG, "rawQuery": NOTED}
    return {"title": "Central", "uid": "central", "panels": list(panels),
            "templating": {"list": [sector]}, "annotations": {"list": [noted]}}  # fmt: skip


@dataclass
class Desk:
    """A folder of dashboards, and the command as a person types it."""

    folder: Path
    dsn: str
    admin: str
    capture: pytest.CaptureFixture[str]

    async def verify(self, board: dict[str, Any], *more: str) -> tuple[int, str]:
        (self.folder / "central.json").write_text(json.dumps(board), "utf-8")
        argv = ["verify", str(self.folder), "--dsn", self.dsn, "--until", "2026-11-01", *more]
        code = await asyncio.to_thread(main, argv)
        said = self.capture.readouterr()
        return code, said.out + said.err


@pytest_asyncio.fixture
async def desk(
    pool: Pool, dsn: str, postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Desk]:
    await commune_history.fill(pool, alerts=300)
    admin = f"{postgres_dsn.rpartition('/')[0]}/{dsn.rpartition('/')[2]}"
    connection = await asyncpg.connect(admin)
    await keep_reader(connection, PASSWORD)
    await connection.close()
    reader = f"postgresql://{ROLE}:{PASSWORD}@{dsn.rpartition('@')[2]}"
    yield Desk(tmp_path, reader, admin, capsys)


def _good() -> list[dict[str, Any]]:
    return [_panel(number, title, sql) for number, (title, sql) in enumerate(GOOD.items(), 1)]


async def test_good_panels_pass_and_a_renamed_column_names_the_panel(desk: Desk, pool: Pool) -> None:
    code, said = await desk.verify(_board(*_good()))
    assert code == 0, said
    assert "4 consultas, 0 con problemas" in said
    await pool.execute("alter view panels.alerts rename column ack_s to taken_s")
    code, said = await desk.verify(_board(*_good()))
    assert code == 1
    assert "Central | 1 «Tomadas» | A | 0 filas" in said
    assert 'PROBLEMA: PostgreSQL: column "ack_s" does not exist' in said
    assert "4 consultas, 2 con problemas" in said


WRONG = [
        ("select opened_at as time, ack_s from panels.alerts where false", "s", "0 filas"),
        ("select opened_at::date as time, ack_s from panels.alerts", "s", "«time» es date"),
        ("select opened_at as time, code from panels.alerts", "s", "sin columna numérica"),
        ("select ack_s from panels.alerts", "s", "sin columna «time»"),
        ("select opened_at as time, avg(ack_s) as media from panels.alerts group by 1", "ms",
         "«media» está en s"),
        ("select opened_at as time, ack_s from panels.alerts", "", "sin unidad"),
        ("select at as time, $__timeGrp(at) from panels.latest", "s", "la macro $__timeGrp no existe"),
        ("select opened_at as time, ack_s from panels.alerts where sector = '$zona'", "s", "$zona no existe"),
        ("select opened_at as time, priority from public.alerts", "", "permission denied for table alerts"),
]  # fmt: skip
"""SQL, the panel's unit, and what has to be said."""


async def test_what_is_wrong_is_said(desk: Desk) -> None:
    panels = [_panel(number, "Malo", sql, unit) for number, (sql, unit, _) in enumerate(WRONG)]
    code, said = await desk.verify(_board(*panels), "--json")
    assert code == 1
    found = {one["place"]: one["problems"] for one in json.loads(said)}
    for number, (sql, _, problem) in enumerate(WRONG):
        assert problem in " ".join(found[f"{number} «Malo»"]), sql


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$__timeFilter(a.at)", "a.at BETWEEN '2026-10-01T00:00:00Z' AND '2026-11-01T00:00:00Z'"),
        ("$__timeGroup(at, '5m')", "floor(extract(epoch from at)/300)*300"),
        ("$__timeGroupAlias(at,$__interval)", 'floor(extract(epoch from at)/3600)*3600 AS "time"'),
        ("$__unixEpochGroup(at,'1h')", "floor((at)/3600)*3600"),
        ("$__unixEpochFilter(at)", "at >= 1790812800 AND at <= 1793491200"),
        ("$__timeFrom() $__timeTo()", "'2026-10-01T00:00:00Z' '2026-11-01T00:00:00Z'"),
        ("$__time(at), $__timeEpoch(at)", 'at AS "time", extract(epoch from at) as "time"'),
        ("$__interval_ms", "3600000"),
        ("in ($s) ${s:csv} ${s:raw}", "in ('Alto','D''Or') Alto,D'Or Alto,D'Or"),
        ("${s:sqlstring} ${s:regex} ${s:pipe}", "'Alto','D''Or' (Alto|D'Or) Alto|D'Or"),
        ("'$one'", "'D''Or'"),
    ],
)
def test_sql_is_expanded_as_grafana_does(text: str, wanted: str) -> None:
    assert expand(text, "postgres", {"s": SECTORS, "one": Value(("D'Or",))}, SPAN) == wanted


def test_influxql_is_expanded_as_grafana_does() -> None:
    text = 'select mean("value") from "m" where $timeFilter and "d" =~ /^$s$/ group by time($__interval)'
    assert expand(text, "influx", {"s": Value(("a.b", "c"), is_list=True)}, SPAN) == (
        'select mean("value") from "m" where time >= 1790812800000ms and time <= 1793491200000ms and "d" =~'
        " /^(a\\.b|c)$/ group by time(1h)"
    )
    with pytest.raises(VerifyError, match=":nada no existe"):
        expand("${s:nada}", "influx", {"s": SECTORS}, SPAN)


PAGE = """# TYPE almenara_events counter
almenara_events_total{lane="a"} 3
# TYPE almenara_open gauge
almenara_open 1
"""


def test_promql_names_are_looked_up_in_the_page() -> None:
    text = 'sum by (lane) (rate(almenara_events_total{lane=~"a|b"}[5m])) / on () almenara_open > bool 0.5'
    assert names_of(text) == ({"almenara_events_total", "almenara_open"}, {"lane"})
    assert name_problems(text, exposed(PAGE)) == []
    assert name_problems("max(almenara_opened{line='x'})", exposed(PAGE)) == [
        "la métrica almenara_opened no existe", "la etiqueta line no existe"]  # fmt: skip


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """Debian's Prometheus, which scrapes itself."""
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs: [{job_name: own, scrape_interval: 1s, static_configs:"
        f" [{{targets: ['127.0.0.1:{port}']}}]}}]\n",
        "utf-8",
    )
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            ["/usr/bin/prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


async def test_promql_runs_on_a_real_prometheus(desk: Desk, prometheus: str) -> None:
    asked = {"query": 'up{job="own"}'}
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        while True:
            try:
                answer = await client.get(f"{prometheus}/api/v1/query", params=asked)
                if answer.status_code == 200 and answer.json()["data"]["result"]:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    source = {"type": "prometheus", "uid": "p"}
    texts = ['up{job="own"}', "prometheus_build_info{version=~'.+'}", "prometheus_nothing", "sum(up"]
    panel = {"id": 3, "title": "Hub", "type": "timeseries", "datasource": source,
             "targets": [{"refId": r, "expr": t} for r, t in zip("ABCD", texts, strict=True)]}  # fmt: skip
    until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    more = ["--prometheus", prometheus, "--metrics-url", f"{prometheus}/metrics", "--until", until, "--json"]
    code, said = await desk.verify(_board(panel), "--last", "10m", *more, "--may-be-empty")
    found = {one["ref"]: one for one in json.loads(said) if one["engine"] == "prometheus"}
    assert code == 1
    assert (found["A"]["problems"], found["B"]["problems"]) == ([], [])
    assert found["B"]["rows"] == 1
    assert found["C"]["problems"] == ["la métrica prometheus_nothing no existe"]
    assert "parse error" in " ".join(found["D"]["problems"])
    code, said = await desk.verify(_board(panel))
    assert "PromQL no ejecutado" in said


async def test_influxql_runs_on_a_real_engine_and_unknown_names_are_said(desk: Desk, tmp_path: Path) -> None:
    engine = InfluxEngine(tmp_path / "influx")
    await engine.start()
    (desk.folder / "token").write_text(TOKEN, "utf-8")
    texts = {
        "A": """select mean("value") from "level" where $timeFilter and "device" =~ /^$device$/"""
        " group by time($__interval) fill(none)",
        "B": """select mean("valor") from "level" where $timeFilter""",
        "C": """select mean("value") from "nivel" where $timeFilter""",
        "D": "select mean( from",
    }
    source = {"type": "influxdb", "uid": "i"}
    targets = [{"refId": ref, "rawQuery": True, "query": text} for ref, text in texts.items()]
    panel = {"id": 4, "title": "Río", "type": "timeseries", "datasource": source, "targets": targets}
    board = _board(panel)
    shown = 'show tag values from "level" with key = "device"'
    device = {"name": "device", "type": "query", "datasource": source, "includeAll": True, "query": shown}
    board["templating"]["list"] = [device]
    try:
        async with Shim(engine) as shim, httpx.AsyncClient(base_url=shim.url) as client:
            client.headers["Authorization"] = f"Token {TOKEN}"
            rules = {"orgID": "1", "name": "almenara", "retentionRules": [{"everySeconds": 0}]}
            assert (await client.post("/api/v2/buckets", json=rules)).status_code == 201
            line = f"level,device=d1 value=1.5 {int(SPAN.since.timestamp()) + 3600}"
            into = {"org": ORG, "bucket": "almenara", "precision": "s"}
            assert (await client.post("/api/v2/write", params=into, content=line)).status_code == 204
            more = ["--influx-url", shim.url, "--influx-token-file", str(desk.folder / "token")]
            code, said = await desk.verify(board, "--last", "31d", "--json", *more)
    finally:
        await engine.kill()
    found = {one["ref"]: one for one in json.loads(said) if one["engine"] == "influx"}
    assert code == 1
    assert (found["device"]["rows"], found["A"]["rows"], found["A"]["problems"]) == (1, 1, [])
    assert "el campo o la etiqueta «valor» no existe" in found["B"]["problems"]
    assert "la medición «nivel» no existe" in found["C"]["problems"]
    assert "error parsing query" in found["D"]["problems"][0]
