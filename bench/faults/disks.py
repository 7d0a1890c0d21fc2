"""Disks: full at the edge, torn files at the edge, torn pages under PostgreSQL."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.faults.judge import Evidence
from bench.faults.ledger import read_lines
from bench.faults.programs import Edge, Hub
from bench.faults.world import World, WorldError
from edge.outbox import read_stats
from hub.servers.account import account_for
from hub.servers.postgres import choose, installations

_TMPFS_BYTES = 4 * 1024 * 1024
_TORN_PAGES = 3
_REPORT_S = 3.0
"""Damaged rows are found when they are read, and reported with the next look at the gateway's health."""
_EDGE_PAGE = 4096
# sqlite.org/fileformat2.html#the_write_ahead_log: a header, then frames of a header and a page.
_WAL_HEADER = 32
_WAL_FRAME = 24 + _EDGE_PAGE
_LEAST_FRAMES = 8
_FILLED_S = 20
_PG_PAGE = 8192
_PG_TORN_PAGES = 60
_ROWS_BEFORE_TEAR = 300
_ROWS_LIMIT_S = 30.0


# --------------------------------------------------------------------------------------- disk full


async def full(world: World) -> None:
    """The link is cut; a small disk fills up behind it; the agent is killed on the full disk; all goes on."""
    edge = world.edges[0]
    _mount_small(world, edge)
    world.start_edges()
    await world.reach(0.1)
    proxy = world.proxies[edge.gateway]
    world.strike(edge.gateway, kills=0)
    proxy.cut()
    await world.reach(world.chance.uniform(0.85, 0.95))
    world.strike(edge.gateway)
    await world.kill_edge(edge)
    edge.launch()
    await world.reach(0.97)
    proxy.mend()
    await world.reach(1.0)


def _mount_small(world: World, edge: Edge) -> None:
    edge.data.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_TMPFS_BYTES}", "tmpfs", str(edge.data)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        world.undo.append(["umount", str(edge.data)])
        world.tally.notes["disk"] = f"tmpfs of {_TMPFS_BYTES >> 20} MiB"
    else:  # no right to mount: the outbox's own limit stands in for the disk's
        world.limits[edge.gateway] = _TMPFS_BYTES // 4
        world.configure(edge)
        world.tally.notes["disk"] = f"no mount here ({done.stderr.strip()[:60]}): outbox_limit_bytes instead"


async def gave_up_by_rule(world: World, _evidence: Evidence) -> None:
    """Only events were evicted, and the agent's own counter says how many."""
    edge = world.edges[0]
    stats = read_stats(edge.outbox)
    refused = read_lines(edge.refusals)
    refused_alarms = sum(line.is_alarm for line in refused)
    world.tally.missing = stats.evicted["event"]
    world.tally.may_gap = True
    world.tally.notes["evicted events"] = stats.evicted["event"]
    world.tally.notes["refused at the outbox"] = f"{len(refused)}, alarms among them: {refused_alarms}"
    if not stats.evicted["event"] and not refused:
        world.tally.problems.append("the disk was never full")
    if stats.evicted["alarm"]:
        world.tally.problems.append(f"{stats.evicted['alarm']} alarms were evicted")
    if refused_alarms:
        world.tally.problems.append(f"{refused_alarms} alarms were refused while events could be given up")


# ------------------------------------------------------------------------------------ torn outboxes


async def torn_outbox(world: World) -> None:
    """Backlogs behind cut links; all agents killed; each outbox damaged in another way; then all goes on."""
    world.start_edges()
    await world.reach(0.05)
    for proxy in world.proxies.values():
        proxy.cut()
    await world.reach(world.chance.uniform(0.6, 0.7))
    world.strike(kills=len(world.edges))
    damages: dict[str, str] = {}
    for edge, tear in zip(world.edges, (_flip_pages, _cut_file, _flip_log), strict=False):
        if tear is _flip_log:
            await _log_filled(edge)
        await world.kill_edge(edge)
        before = _pending(edge, world.folder / f"{edge.gateway}-before")
        damages[edge.gateway] = f"{tear(edge, world)} ({before} rows were pending)"
    world.tally.notes["damage"] = damages
    world.start_edges()
    for proxy in world.proxies.values():
        proxy.mend()
    await world.reach(1.0)
    await world.drain()
    await asyncio.sleep(_REPORT_S)


def _pending(edge: Edge, copy: Path) -> int:
    """Counted on a copy: opening the file itself would recover its log."""
    shutil.copytree(edge.data, copy)
    with closing(sqlite3.connect(copy / "outbox.db")) as db:
        return int(db.execute("select count(*) from rows").fetchone()[0])


def _flip_pages(edge: Edge, world: World) -> str:
    """Sixteen bytes of some pages turned over, as a dying card does."""
    content = bytearray(edge.outbox.read_bytes())
    pages = world.chance.sample(range(2, len(content) // _EDGE_PAGE), _TORN_PAGES)
    for page in pages:
        start = page * _EDGE_PAGE + world.chance.randrange(0, _EDGE_PAGE - 16)
        content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    edge.outbox.write_bytes(content)
    return f"16 bytes in each of {_TORN_PAGES} pages of {len(content) // _EDGE_PAGE} turned over"


def _cut_file(edge: Edge, world: World) -> str:
    size = edge.outbox.stat().st_size
    kept = int(size * world.chance.uniform(0.5, 0.9)) // 512 * 512
    with edge.outbox.open("r+b") as file:
        file.truncate(kept)
    return f"cut to {kept} of {size} bytes"


def _frames(log: bytes | bytearray) -> list[int]:
    """Where the frames of the present round begin; a checkpoint begins another round."""
    salts = log[16:24]
    starts = range(_WAL_HEADER, len(log) - _WAL_FRAME, _WAL_FRAME)
    return [at for at in starts if log[at + 8 : at + 16] == salts]


async def _log_filled(edge: Edge) -> None:
    """Until there is a log to tear: right after a checkpoint there is none."""
    log = edge.outbox.with_name("outbox.db-wal")
    async with asyncio.timeout(_FILLED_S):
        while len(_frames(log.read_bytes())) < 2 * _LEAST_FRAMES:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def _flip_log(edge: Edge, world: World) -> str:
    """A byte of a page in the middle of the write-ahead log's present round."""
    log = edge.outbox.with_name("outbox.db-wal")
    content = bytearray(log.read_bytes())
    frames = _frames(content)
    if len(frames) < _LEAST_FRAMES:
        raise WorldError("the write-ahead log is nearly empty")
    number = world.chance.randrange(len(frames) // 4, len(frames) // 2)
    content[frames[number] + _WAL_FRAME // 2] ^= 0xFF
    log.write_bytes(content)
    return f"a byte of frame {number} of {len(frames)} of the write-ahead log turned over"


async def tears_reported(world: World, evidence: Evidence) -> None:
    """What is missing of a gateway is no more than what it reported as lost in its torn file."""
    rows = await world.database.rows(
        "select gateway, sum((data->>'lost')::int), sum((data->>'saved')::int) from events"
        " where type = 'outbox.torn' group by gateway"
    )
    reported = {r[0]: (int(r[1]), int(r[2])) for r in rows}
    stored = {row.id for row in evidence.stored}
    missing = Counter(a.gateway for a in evidence.accepted if a.id not in stored)
    for edge in world.edges:
        lost, saved = reported.get(edge.gateway, (0, 0))
        gone = missing[edge.gateway]
        world.tally.notes[edge.gateway] = f"{saved} rows saved, {lost} reported lost, {gone} missing"
        if gone > lost:
            world.tally.problems.append(f"{edge.gateway}: {gone} missing, only {lost} reported lost")
    world.tally.missing = world.tally.missing_alarms = sum(lost for lost, _ in reported.values())
    world.tally.may_gap = True


# --------------------------------------------------------------------------------- torn pages in PostgreSQL


async def torn_pages(world: World) -> None:
    """PostgreSQL killed under load, and pages that it was writing left half old, half new on the disk."""
    world.start_edges()
    oid = (await world.database.rows("select oid from pg_database where datname = current_database()"))[0][0]
    base = world.cluster.server.data / "base" / str(oid)
    for number, moment in enumerate(world.moments(2)):
        await world.reach(moment)
        before = world.folder / f"before-{number}"
        with _held(world.hubs):  # or a short flood is over by the end of the copy, and nothing writes pages
            await world.cluster.admin("checkpoint")
            shutil.copytree(base, before)
        await _wait_for_rows(world, _ROWS_BEFORE_TEAR)
        world.strike()
        await world.cluster.kill()
        torn = _tear(world, base, before, str(oid))
        world.tally.notes[f"pages torn at {moment:.0%}"] = torn
        if not torn:
            world.tally.problems.append("no page could be torn")
        await world.cluster.start()
    await world.reach(1.0)


@contextmanager
def _held(hubs: Sequence[Hub]) -> Iterator[None]:
    """The hubs stand still; what is sent to them waits at the broker."""
    pids = [hub.pid for hub in hubs if hub.pid is not None]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _wait_for_rows(world: World, more: int) -> None:
    """Until the database has stored so many more events."""
    async with asyncio.timeout(_ROWS_LIMIT_S):
        counts = [(await world.database.rows("select count(*) from events"))[0][0]]
        while counts[-1] < counts[0] + more:
            await asyncio.sleep(0.02)
            counts.append((await world.database.rows("select count(*) from events"))[0][0])


def _tear(world: World, base: Path, before: Path, oid: str) -> int:
    """Second halves from before, first halves from the full-page images of the log; returns how many."""
    images = world.folder / f"images-{world.tally.kills}"
    _run(world, "pg_waldump", "--save-fullpage", images, "--start", _redo(world),
         "--path", world.cluster.server.data / "pg_wal", "--quiet")  # fmt: skip
    newest: dict[tuple[str, int], Path] = {}
    for image in sorted(images.iterdir()):
        found = re.search(rf"\.{oid}\.(\d+)\.(\d+)_main$", image.name)
        if found:
            newest[found[1], int(found[2])] = image
    pages = sorted(newest)
    torn = 0
    for relation, block in world.chance.sample(pages, min(_PG_TORN_PAGES, len(pages))):
        torn += _tear_page(base / relation, before / relation, block, newest[relation, block].read_bytes())
    return torn


def _tear_page(file: Path, before: Path, block: int, new: bytes) -> bool:
    """Whether the page is torn now: its halves come from two states."""
    if not file.exists():
        return False
    old = b"\0" * _PG_PAGE
    if before.exists() and before.stat().st_size >= (block + 1) * _PG_PAGE:
        with before.open("rb") as source:
            source.seek(block * _PG_PAGE)
            old = source.read(_PG_PAGE)
    page = new[: _PG_PAGE // 2] + old[_PG_PAGE // 2 :]
    with file.open("r+b") as target:
        target.seek(block * _PG_PAGE)
        target.write(page)
    return page not in (new, old)


def _redo(world: World) -> str:
    text = _run(world, "pg_controldata", world.cluster.server.data)
    found = re.search(r"REDO location:\s+(\S+)", text)
    if found is None:
        raise WorldError("pg_controldata does not tell where recovery begins")
    return found[1]


def _run(world: World, program: str, *words: object) -> str:
    """A program of the same installation, as the cluster's owner where we are root."""
    data = world.cluster.server.data
    folder = choose(data, list(installations())).folder
    account = account_for(data, [folder / program])
    prefix = ["setpriv", *account.options, "--"] if account and program == "pg_checksums" else []
    done = subprocess.run(
        [*prefix, str(folder / program), *map(str, words)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


async def pages_are_whole(world: World, _evidence: Evidence) -> None:
    """Checksums of every page of the cluster, and amcheck over tables and indexes of this database."""
    server, notes = world.cluster.server, world.tally.notes
    found = await asyncio.to_thread(_amcheck, world)
    notes["amcheck"] = found or "no fault found"
    await world.cluster.stop()
    text = _run(world, "pg_checksums", "--check", "-D", server.data)
    await world.cluster.start()
    bad = re.search(r"Bad checksums:\s+(\d+)", text)
    notes["checksums"] = f"{bad[1]} bad" if bad else text[-200:]
    if found:
        world.tally.problems.append("amcheck found a fault")
    if bad is None or int(bad[1]):
        world.tally.problems.append(f"checksums: {notes['checksums']}")


def _amcheck(world: World) -> str:
    """What amcheck complains of in this database's tables and indexes; empty when they are whole."""
    server = world.cluster.server
    dsn = urlsplit(server.admin_dsn)
    folder = choose(server.data, list(installations())).folder
    done = subprocess.run(
        [str(folder / "pg_amcheck"), "--install-missing", "-h", str(dsn.hostname), "-p", str(dsn.port),
         "-U", str(dsn.username), "-d", world.database.name],
        env={"PGPASSWORD": str(dsn.password), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-300:]
