"""``python -m bench.pages``: how long the console's pages take, empty and with years of a commune in it.

Exit codes: 0 measured, 1 a page failed, 2 wrong use.
"""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench import machine, report
from bench.errors import BenchError
from bench.faults.programs import TREE, folder_owner_may_pass
from bench.figures import Figure, Ratio, Section, figure, quantile
from hub.servers.child import free_port

PASSWORD = "una clave de prueba larga"  # noqa: S105  (of a hub that lives for minutes)
ROUNDS = 3
BUDGET_MS = 300
PAGES = {
    "director": ("/direccion", "/plan", "/plan/BASE/I04", "/plan/editar"),
    "jefe_turno": (
        *("/", "/alertas", "/entrega", "/dispositivos", "/sala", "/operativos", "/operativos/repeticiones"),
        *(
            "/focos",
            "/rondas",
            "/permisos",
            "/evidencias",
            "/documentos",
            "/registros",
            "/registros/sesiones",
        ),
        *("/grupos", "/silencios", "/turnos", "/reglas"),
    ),
}
"""Role → addresses that an empty hub has, too."""
ONLY_FULL = ("/operativos/{folio}", "/operativos/{folio}/acta", "/operativos/{folio}/efecto")
"""Of the operation with the most inspections."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    top.add_argument("--events", type=int, default=1_000_000, help="signals of devices in the full hub")
    top.add_argument("--times", type=int, default=15, help="readings of each page in a round")
    top.add_argument("--seed", type=int, default=20261126, help="of the fictional commune")
    top.add_argument("--report", type=Path, default=TREE / "bench" / "report" / "pages", metavar="FOLDER")
    return top


def say(text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")


async def _command(*words: str, given: str = "") -> str:
    """Raises :class:`BenchError` with what the command said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.cli", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(given.encode())
    if process.returncode:
        raise BenchError(f"almenara-hub {' '.join(words)}: {output.decode()[-500:]}")
    return output.decode()


@contextlib.asynccontextmanager
async def _served(data: Path) -> AsyncIterator[str]:
    """A hub on the embedded servers; its address."""
    for role in PAGES:
        words = ("users", "add", role.replace("_", ""), "--name", role, "--role", role, "--data", str(data))
        await _command(*words, given=f"{PASSWORD}\n")
    port = free_port()
    with (data / "hub.log").open("wb") as log:
        hub = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.cli", "serve", "--data", str(data), "--http", f"127.0.0.1:{port}",
            stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(120):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{url}/salud")).status_code == 200:
                        break
                await asyncio.sleep(0.2)
        yield url
    finally:
        hub.terminate()
        await hub.wait()


@contextlib.asynccontextmanager
async def _person(url: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        page = (await client.get("/ingresar")).text
        token = page.partition('name="token" value="')[2].partition('"')[0]
        form = {"usuario": role.replace("_", ""), "clave": PASSWORD, "token": token}
        answer = await client.post("/ingresar", data=form)
        if answer.status_code != 303:
            raise BenchError(f"signing in as {role}: HTTP {answer.status_code}")
        yield client


async def _time(client: httpx.AsyncClient, path: str, times: int) -> list[float]:
    """Milliseconds of each reading; the first, which fills caches, is not among them."""
    taken = []
    for number in range(times + 1):
        began = time.perf_counter()
        answer = await client.get(path, headers={"accept": "text/html"})
        if answer.status_code != 200:
            raise BenchError(f"{path}: HTTP {answer.status_code}")
        if number:
            taken.append(1000 * (time.perf_counter() - began))
    return taken


async def measure(arguments: argparse.Namespace, root: Path) -> Section:
    """The two hubs take turns, so that the machine's moods hit both."""
    empty, full = root / "empty", root / "full"
    for folder in (empty, full):
        folder.mkdir(mode=0o711)
    say(f"two years of a commune, {arguments.events:,} signals")
    words = ("example", "--data", str(full), "--events", str(arguments.events))
    await _command(*words, "--seed", str(arguments.seed))
    found: dict[str, dict[str, list[list[float]]]] = {}
    async with _served(empty) as bare, _served(full) as busy:
        folio = await _busiest(busy)
        for number in range(ROUNDS):
            for role, paths in PAGES.items():
                more = tuple(path.format(folio=folio) for path in ONLY_FULL) if role == "jefe_turno" else ()
                for name, url in (("empty", bare), ("full", busy)):
                    async with _person(url, role) as client:
                        for path in (*paths, *(more if name == "full" else ())):
                            label = path.replace(folio, "FOLIO")
                            taken = await _time(client, path, arguments.times)
                            found.setdefault(label, {}).setdefault(name, []).append(taken)
            say(f"round {number + 1} of {ROUNDS}")
    return _section(found, arguments.events)


async def _busiest(url: str) -> str:
    """The first operation of last December's list: a full summer month."""
    async with _person(url, "jefe_turno") as client:
        today = datetime.now(UTC)
        year = today.year if today.month == 12 else today.year - 1
        page = (await client.get(f"/operativos?mes={year}-12")).text
    folio = page.partition('href="/operativos/OPF-')[2].partition('"')[0]
    if not folio:
        raise BenchError("the example has no operations in December")
    return f"OPF-{folio}"


def _section(found: dict[str, dict[str, list[list[float]]]], events: int) -> Section:
    def each(path: str, name: str, share: float) -> list[float]:
        return [quantile(taken, share) for taken in found[path].get(name, [])]

    rows: dict[str, dict[str, Figure]] = {}
    for path in found:
        row = {
            "full p50 ms": figure(each(path, "full", 0.5)),
            "full p95 ms": figure(each(path, "full", 0.95)),
        }
        if "empty" in found[path]:
            row["empty p50 ms"] = figure(each(path, "empty", 0.5))
            pairs = zip(each(path, "full", 0.5), each(path, "empty", 0.5), strict=True)
            row["full / empty"] = figure([one / other for one, other in pairs])
        rows[path] = row
    slowest = max(rows, key=lambda path: rows[path]["full p95 ms"].median)
    compared = {path: row["full / empty"] for path, row in rows.items() if "full / empty" in row}
    widest = max(compared, key=lambda path: compared[path].median)
    return Section(
        title="Pages of the console",
        ratios=[
            Ratio(
                f"slowest page, {slowest}, p95", rows[slowest]["full p95 ms"], "ms", budget=f"<= {BUDGET_MS}"
            ),
            Ratio(f"farthest from an empty database, {widest}, p50", compared[widest]),
        ],
        columns=["full p50 ms", "full p95 ms", "empty p50 ms", "full / empty"],
        rows=rows,
        notes=[
            f"Full: two years of a fictional commune, {events:,} signals, some 19,000 alerts.",
            "One reader at a time over loopback; the first reading of each page and round is left out.",
            "Both hubs run at once on this machine, each with its own database.",
        ],
    )


async def run(arguments: argparse.Namespace, root: Path) -> None:
    facts = {"machine": machine.describe(), "sync_ms": machine.sync_ms(root)}
    began = time.monotonic()
    section = await measure(arguments, root)
    facts |= {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": {"hub": machine.revision(TREE)},
        "seed": arguments.seed,
        "scale": f"{arguments.events:,} signals",
        "took_s": round(time.monotonic() - began, 1),
    }
    report.write(arguments.report, facts, {"pages": section})
    sys.stdout.write(report.markdown(facts, {"pages": section}))


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="almenara-pages-"))
    folder_owner_may_pass(root)
    try:
        asyncio.run(run(arguments, root))
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
