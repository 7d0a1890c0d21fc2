"""The dashboards: one house style, proper JSON, each query on real engines, published over a checked API."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from grafana_api import TOKEN as GRAFANA_TOKEN
from grafana_api import GrafanaApi
from influx_engine import ORG, TOKEN, InfluxEngine, Shim
from test_example_years import SPAN

from dashboards import comparing, provisioning
from dashboards.boards import BOARDS
from dashboards.cli import main
from dashboards.defaults import NO_VALUE
from hub.database import Pool, connect
from hub.database.readers import ROLE as READER
from hub.database.readers import keep_reader
from hub.example_years import writing
from hub.metrics import Metrics
from hub.servers.child import free_port
from hub.servers.postgres import ROLE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent
CONSOLE = "https://consola.ejemplo.cl"
PASSWORD = "una-clave-de-prueba"
PANELS = [
    pytest.param(board, panel, id=f"{board['title']}-{panel['id']}")
    for board in provisioning.documents(CONSOLE).values()
    for panel in board["panels"]
]

# --------------------------------------------------------------------------------------- house style


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_says_what_it_is_in_which_unit_and_where_one_acts(
    board: dict[str, Any], panel: dict[str, Any]
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"] == NO_VALUE
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert defaults["links"][0]["url"].startswith("${consola}/")
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    assert board["timezone"] == "America/Santiago"


def test_nine_dashboards_have_ids_of_their_own_and_panels_do_not_overlap() -> None:
    assert len({board.uid for board in BOARDS}) == 9
    for board in provisioning.documents(CONSOLE).values():
        places = [panel["gridPos"] for panel in board["panels"]]
        taken = [
            (x, y)
            for p in places
            for x in range(p["x"], p["x"] + p["w"])
            for y in range(p["y"], p["y"] + p["h"])
        ]
        assert len(taken) == len(set(taken)), board["title"]
        assert len({panel["id"] for panel in board["panels"]}) == len(places)


def test_the_json_is_what_grafana_declares(tmp_path: Path) -> None:
    lines = ['import type { Board, PanelOptions } from "./dashboards.mts";']
    for number, document in enumerate(provisioning.documents(CONSOLE).values()):
        lines.append(f"export const board{number} = {json.dumps(document)} satisfies Board;")
        for panel in document["panels"]:
            options = json.dumps(panel["options"])
            kind = panel["type"]
            lines.append(
                f'export const o{number}x{panel["id"]} = {options} satisfies PanelOptions["{kind}"];'
            )
    said = _compiled(lines, tmp_path)
    assert said == ""
    # so that the compiler is known to look: one figure as a text, one mode that does not exist
    broken = [
        line.replace('"h": 4', '"h": "4"').replace('"mode": "multi"', '"mode": "many"') for line in lines
    ]
    said = _compiled(broken, tmp_path)
    assert "Type 'string' is not assignable to type 'number'" in said
    assert "many" in said


def _compiled(lines: list[str], folder: Path) -> str:
    source = folder / "all.mts"
    source.write_text("\n".join(lines), "utf-8")
    (folder / "dashboards.mts").write_text((ROOT / "tests" / "dashboards.mts").read_text("utf-8"), "utf-8")
    with contextlib.suppress(FileExistsError):
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
    options = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--moduleResolution",
        "nodenext",
    ]
    options += ["--allowImportingTsExtensions", "--target", "es2022"]
    command = ["node", str(ROOT / "node_modules/typescript/bin/tsc"), *options, str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


# -------------------------------------------------------------------------------------------- files


def test_files_are_written_once_and_the_difference_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path)
    assert main(["build", folder, "--console-url", CONSOLE]) == 0
    assert "12 archivos escritos" in capsys.readouterr().out
    assert main(["build", folder, "--console-url", CONSOLE]) == 0
    assert "0 archivos escritos" in capsys.readouterr().out
    assert main(["diff", folder, "--console-url", CONSOLE]) == 0
    path = tmp_path / "dashboards" / "almenara-sala.json"
    path.write_text(path.read_text("utf-8").replace("P1 sin tomar", "P1"), "utf-8")
    assert main(["diff", folder, "--console-url", CONSOLE]) == 1
    said = capsys.readouterr().out
    assert '+      "title": "P1 sin tomar",' in said
    assert "1 tableros cambian" in said
    (tmp_path / "dashboards" / "almenara-viejo.json").write_text("{}", "utf-8")
    main(["build", folder, "--console-url", CONSOLE])
    assert "almenara-viejo.json: sobra" in capsys.readouterr().err
    told = (tmp_path / "provisioning" / "alerting" / "almenara.yaml").read_text("utf-8")
    assert f"{CONSOLE}/grafana/alertas" in told
    assert "$__file{/etc/grafana/secrets/almenara-hook}" in told


def test_a_part_is_within_what_the_server_made_of_it() -> None:
    assert comparing.within({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}], "id": 9})
    assert not comparing.within({"a": [{"b": 1}]}, {"a": [{"b": 2}]})
    assert not comparing.within({"a": [1, 2]}, {"a": [1]})


# --------------------------------------------------------------------------------------- publishing


async def published(url: str, *more: str) -> tuple[int, str]:
    """The command as a person types it, where grafana-client lives."""
    command = [
        *(str(ROOT / ".venv-grafana/bin/python"), "-m", "dashboards", more[0], "--url", url),
        *("--console-url", CONSOLE, *more[1:]),
    ]
    done = await asyncio.create_subprocess_exec(
        *command,
        env={"GRAFANA_TOKEN": GRAFANA_TOKEN, "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await done.communicate()
    assert done.returncode is not None
    return done.returncode, said.decode()


async def test_publishing_shows_the_difference_first_and_changes_only_what_differs() -> None:
    grafana = GrafanaApi()
    async with grafana.serving() as url:
        code, said = await published(url, "publish", "--dry-run")
        assert (code, grafana.writes) == (0, 0), said
        assert "nada se publicó" in said
        code, said = await published(url, "publish")
        assert code == 0, said
        assert "17 cambios publicados" in said
        assert grafana.wrong == []
        assert set(grafana.dashboards) == {board.uid for board in BOARDS}
        assert grafana.permissions["almenara"] == [{"role": "Viewer", "permission": 1}]
        before = grafana.writes
        code, said = await published(url, "publish")
        assert "0 cambios publicados" in said, said
        assert grafana.writes == before
        grafana.dashboards["almenara-sala"]["title"] = "Otra"
        grafana.rules["almenara-hub-away"]["for"] = "9m"
        code, said = await published(url, "diff")
        assert code == 1
        assert '+  "title": "Sala",' in said
        assert "2 cambios; nada se publicó" in said
        await published(url, "publish")
        assert grafana.dashboards["almenara-sala"]["title"] == "Sala"
        assert grafana.wrong == []


async def test_a_wrong_token_and_a_server_that_is_away_are_said() -> None:
    grafana = GrafanaApi()
    async with grafana.serving() as url:
        token = ROOT / "tests" / "grafana_api.yaml"  # a file that holds no token
        code, said = await published(url, "publish", "--token-file", str(token.with_name("__init__.none")))
        assert code == 1
        assert "No such file" in said
    code, said = await published(f"http://127.0.0.1:{free_port()}", "publish")
    assert code == 1
    assert "Grafana no responde" in said


# -------------------------------------------------------------------------------------------- verify


@dataclass(frozen=True)
class Engines:
    dsn: str
    pool: Pool
    influx_url: str
    token_file: Path
    metrics_url: str
    prometheus_url: str
    until: datetime


@pytest_asyncio.fixture
async def engines(postgres_server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Engines]:
    """The fictional commune in PostgreSQL, its levels in InfluxDB's engine, a hub's metrics in Prometheus."""
    name = "dashboards"
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"create database {name} template migrated owner {ROLE}")
    address = f"{postgres_server.address.rpartition('/')[0]}/{name}"
    pool = await connect(address, max_size=2)
    owner = await asyncpg.connect(f"{postgres_server.admin_dsn.rpartition('/')[0]}/{name}")
    await keep_reader(owner, PASSWORD)
    await owner.close()
    await writing.write(pool, SPAN)
    await writing.freeze(pool, writing.periods_of(SPAN, 3), SPAN.until)
    engine = InfluxEngine(tmp_path / "influx")
    await engine.start()
    token = tmp_path / "token"
    token.write_text(TOKEN, "utf-8")
    reader = f"postgresql://{READER}:{PASSWORD}@{address.rpartition('@')[2]}"
    try:
        async with Shim(engine) as shim:
            await _fill_influx(pool, shim.url)
            with _metrics() as metrics_url, _prometheus(tmp_path, metrics_url) as prometheus_url:
                await _scraped(prometheus_url)
                yield Engines(reader, pool, shim.url, token, metrics_url, prometheus_url, SPAN.until)
    finally:
        await engine.kill()
        await pool.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


async def _fill_influx(pool: Pool, url: str) -> None:
    rows = await pool.fetch(
        "select d.source, extract(epoch from t.at)::bigint as at, t.value from telemetry t"
        " join quantities q using (quantity_id) join devices d using (device_id) where q.name = 'level'"
        " and t.at >= $1",
        SPAN.until - timedelta(days=2),
    )
    lines = [
        f"telemetry,device={r['source']},quantity=level,unit=m value={r['value']} {r['at']}" for r in rows
    ]
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Token {TOKEN}"}) as client:
        rules = {"orgID": "1", "name": "almenara", "retentionRules": [{"everySeconds": 0}]}
        assert (await client.post("/api/v2/buckets", json=rules)).status_code == 201
        into = {"org": ORG, "bucket": "almenara", "precision": "s"}
        answer = await client.post("/api/v2/write", params=into, content="\n".join(lines))
        assert answer.status_code == 204


@contextlib.contextmanager
def _metrics() -> Iterator[str]:
    """A hub's own metrics, with something in each that panels ask for."""
    metrics = Metrics()
    metrics.messages.labels("alarm").inc(3)
    metrics.refused.labels("malformed").inc()
    metrics.commit_s.labels("alarm").observe(0.004)
    metrics.notify_s.observe(0.02)
    metrics.connected.labels("alarm").set(1)
    metrics.transport_up.labels("modem-1").set(1)
    metrics.restarts.labels("broker").inc()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.exposition()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _prometheus(folder: Path, metrics_url: str) -> Iterator[str]:
    port, target = free_port(), metrics_url.removeprefix("http://").removesuffix("/metrics")
    config = folder / "prometheus.yml"
    config.write_text(
        "scrape_configs: [{job_name: almenara, scrape_interval: 1s,"
        f" static_configs: [{{targets: ['{target}']}}]}}]\n",
        "utf-8",
    )
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *("/usr/bin/prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"),
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


async def _scraped(url: str) -> None:
    """Two scrapes at least: a rate needs them."""
    asked = {"query": 'count_over_time(up{job="almenara"}[1m]) >= 3'}
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(f"{url}/api/v1/query", params=asked)
                if answer.status_code == 200 and answer.json()["data"]["result"]:
                    return
            await asyncio.sleep(0.1)


async def test_every_query_of_every_panel_runs_and_a_renamed_column_fails(
    engines: Engines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "boards"
    assert main(["build", str(folder), "--console-url", CONSOLE]) == 0
    capsys.readouterr()

    async def verify(which: str, *more: str) -> tuple[int, list[dict[str, Any]]]:
        argv = ["verify", str(folder / "dashboards" / which), "--dsn", engines.dsn, "--json", *more]
        code = await asyncio.to_thread(main, argv)
        return code, json.loads(capsys.readouterr().out)

    history = ("--until", engines.until.isoformat(), "--last", "30d")
    influx = ("--influx-url", engines.influx_url, "--influx-token-file", str(engines.token_file))
    code, found = await verify("", *history, *influx)
    wrong = [(one["dashboard"], one["place"], one["problems"]) for one in found if one["problems"]]
    assert (code, wrong) == (0, [])
    assert len(found) > 70
    # the hub's own metrics are of now, not of the history
    now = ("--until", (datetime.now(UTC) + timedelta(seconds=1)).isoformat(), "--last", "5m")
    prometheus = ("--metrics-url", engines.metrics_url, "--prometheus", engines.prometheus_url)
    code, found = await verify("almenara-plataforma.json", *now, *prometheus)
    wrong = [(one["place"], one["problems"]) for one in found if one["problems"]]
    assert (code, wrong) == (0, [])
    assert not [one["place"] for one in found if one["note"]]
    await engines.pool.execute("alter view panels.alerts rename column ack_s to taken_s")
    code, found = await verify("almenara-sala.json", *history)
    broken = {one["place"] for one in found if one["problems"]}
    assert code == 1
    assert broken == {"4 «Tomadas a tiempo»", "7 «Acuse, percentil 90»"}


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("almenara-dashboards")
    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for word in ("build", "diff", "publish", "verify"):
        assert word in said
