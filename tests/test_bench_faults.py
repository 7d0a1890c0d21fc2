"""The fault runs: a short one of the real thing, and a judge that can say no."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.judge import (
    Accepted,
    Allowance,
    Blow,
    Evidence,
    SentLine,
    Stored,
    Text,
    alarm_delays_s,
    judge,
    out_of_order_arrivals,
    recovery_s,
    time_errors_s,
)
from bench.faults.ledger import Line, count_lines, format_line, read_lines
from bench.faults.proxy import Proxy


async def test_a_short_run_loses_nothing(tmp_path: Path) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.faults", "--quick", "--seed", "3", "--report", str(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await run.communicate()
    assert run.returncode == 0, output.decode() + errors.decode()[-3000:]
    report = json.loads((tmp_path / "faults.json").read_text("utf-8"))
    assert report["seed"] == 3
    assert {"edge", "hub", "broker-forgets", "embedded-forgets", "database"} <= {
        fault["name"] for fault in report["faults"]
    }
    for fault in report["faults"]:
        assert fault["lost"] == fault["handled_twice"] == fault["wrong_order"] == 0
        assert fault["stored"] >= fault["accepted"] >= 2000
        assert fault["kills"] >= 2
        assert fault["recovery_s"]
        assert fault["alerts"] == 40
    assert "| edge |" in (tmp_path / "faults.md").read_text("utf-8")


async def test_an_unknown_fault_is_named() -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.faults", "--only", "edge,earthquake",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await run.communicate()
    assert run.returncode == 2
    assert "earthquake" in errors.decode()


# --------------------------------------------------------------------------------------- the judge


def _evidence() -> Evidence:
    """A run in which everything went well: two devices, one of them a button with one alert."""
    accepted, stored = [], []
    for source, is_alarm in (("s", False), ("b", True)):
        for n in range(1, 11):
            accepted.append(
                Accepted(
                    id=f"{source}{n}", source=source, gateway="gw-1", is_alarm=is_alarm, life=1, n=n,
                    at_ms=1000 * n,
                )
            )  # fmt: skip
            stored.append(
                Stored(
                    id=f"{source}{n}", source=source, gateway="gw-1", is_alarm=is_alarm, sequence=n, life=1,
                    n=n, received_ms=1000 * n + 20, happened_ms=1000 * n + 5, time_quality="age",
                )
            )  # fmt: skip
    people = ("turno", "Ana", "Luis")
    return Evidence(
        accepted=accepted,
        stored=stored,
        handled=[(f"b{n}", "alert") for n in range(1, 11)],
        event_counts={"alert": 10},
        texts=[Text(id=f"t{who}", alert_id="alert", recipient=who, state="sent") for who in people],
        lines=[SentLine(text_id=f"t{who}", alert_id="alert", at_ms=1030) for who in people],
    )


def test_a_good_run_passes() -> None:
    assert judge(_evidence()) == []


def _lost(e: Evidence) -> Evidence:
    return replace(e, stored=[row for row in e.stored if row.id != "s4"])


def _swapped_for_another(e: Evidence) -> Evidence:
    """As many as before, and yet one is lost: counting would not notice."""
    return replace(e, stored=[replace(row, id="other") if row.id == "s4" else row for row in e.stored])


def _doubled(e: Evidence) -> Evidence:
    return replace(e, stored=[*e.stored, e.stored[3]])


def _doubled_under_another_id(e: Evidence) -> Evidence:
    twin = replace(e.stored[3], id="s4-again", sequence=11)
    return replace(
        e,
        stored=[*e.stored, twin],
        accepted=[*e.accepted, replace(e.accepted[3], id="s4-again")],
    )


def _reordered(e: Evidence) -> Evidence:
    numbers = {"s3": 4, "s4": 3}
    return replace(e, stored=[replace(r, sequence=numbers.get(r.id, r.sequence)) for r in e.stored])


def _gap(e: Evidence) -> Evidence:
    return replace(
        e, stored=[replace(r, sequence=r.sequence + (r.source == "s" and r.n > 5)) for r in e.stored]
    )


def _same_number_twice(e: Evidence) -> Evidence:
    return replace(e, stored=[replace(r, sequence=5) if r.id == "s6" else r for r in e.stored])


def _never_accepted(e: Evidence) -> Evidence:
    return replace(e, accepted=[a for a in e.accepted if a.id != "s10"])


def _without_alert(e: Evidence) -> Evidence:
    return replace(e, handled=[pair for pair in e.handled if pair[0] != "b7"], event_counts={"alert": 9})


def _joined_twice(e: Evidence) -> Evidence:
    return replace(e, handled=[*e.handled, ("b7", "alert")], event_counts={"alert": 11})


def _counted_twice(e: Evidence) -> Evidence:
    return replace(e, event_counts={"alert": 11})


def _unnotified(e: Evidence) -> Evidence:
    return replace(e, lines=[])


def _told_twice(e: Evidence) -> Evidence:
    return replace(e, lines=[*e.lines, e.lines[0]])


def _two_texts(e: Evidence) -> Evidence:
    return replace(e, texts=[*e.texts, replace(e.texts[0], id="another")])


def _step_twice(e: Evidence) -> Evidence:
    step = ("alert", "paso 1, sin acuse hace 30 s: turno")
    return replace(e, steps=[step, step])


def _left_behind(e: Evidence) -> Evidence:
    return replace(e, pending={"gw-1": 3})


_DOCTORED: dict[str, tuple[Callable[[Evidence], Evidence], dict[str, int]]] = {
    "lost": (_lost, {"lost": 1, "sequence_gap": 1}),
    "swapped": (_swapped_for_another, {"lost": 1, "never_accepted": 1}),
    "doubled": (_doubled, {"stored_twice": 1}),
    "doubled under another id": (_doubled_under_another_id, {"stored_twice": 1, "wrong_order": 1}),
    "reordered": (_reordered, {"wrong_order": 1}),
    "gap": (_gap, {"sequence_gap": 1}),
    "number twice": (_same_number_twice, {"sequence_repeated": 1, "sequence_gap": 1}),
    "never accepted": (_never_accepted, {"never_accepted": 1}),
    "without alert": (_without_alert, {"panic_without_alert": 1}),
    "joined twice": (_joined_twice, {"handled_twice": 1}),
    "counted twice": (_counted_twice, {"handled_twice": 1}),
    "un-notified": (_unnotified, {"panic_unnotified": 10}),
    "told twice": (_told_twice, {"told_too_often": 1}),
    "two texts": (_two_texts, {"told_too_often": 1}),
    "step twice": (_step_twice, {"step_fired_twice": 1}),
    "left behind": (_left_behind, {"still_pending": 3}),
}


@pytest.mark.parametrize("name", _DOCTORED)
def test_the_judge_catches(name: str) -> None:
    doctor, expected = _DOCTORED[name]
    assert {v.kind: v.count for v in judge(doctor(_evidence()))} == expected


def test_a_lost_alarm_is_named_apart() -> None:
    bad = _evidence()
    bad = replace(bad, stored=[row for row in bad.stored if row.id != "b4"])
    assert {v.kind for v in judge(bad)} == {"lost", "alarm_lost", "sequence_gap"}


@pytest.mark.parametrize(
    ("doctor", "allowance"),
    [
        (_lost, Allowance(missing=1, may_gap=True)),
        (_never_accepted, Allowance(unlogged=1)),
        (_told_twice, Allowance(hub_kills=1)),
        (_gap, Allowance(may_gap=True)),
    ],
)
def test_what_a_fault_may_cost_is_allowed(
    doctor: Callable[[Evidence], Evidence], allowance: Allowance
) -> None:
    assert judge(doctor(_evidence()), allowance) == []
    assert judge(doctor(_evidence())) != []


def test_one_repeat_for_each_kill_of_the_hub_and_no_more() -> None:
    good = _evidence()
    thrice = replace(good, lines=[*good.lines, good.lines[0], good.lines[0]])
    assert judge(thrice, Allowance(hub_kills=2)) == []
    assert [v.kind for v in judge(thrice, Allowance(hub_kills=1))] == ["told_too_often"]


def test_a_full_disk_may_cost_events_and_no_alarm() -> None:
    good = _evidence()
    bad = replace(good, stored=[row for row in good.stored if row.id not in ("s4", "b4")])
    kinds = {v.kind for v in judge(bad, Allowance(missing=5, may_gap=True))}
    assert kinds == {"alarm_lost"}


def test_figures() -> None:
    good = _evidence()
    assert recovery_s(good, [Blow(2500), Blow(2500, ("gw-2",))]) == [0.52]
    assert alarm_delays_s(good) == [0.03]
    assert time_errors_s(good) == {"age": 0.005}
    assert out_of_order_arrivals(good.stored) == 0
    late = [replace(r, received_ms=99_000) if r.id == "s3" else r for r in good.stored]
    assert out_of_order_arrivals(late) == 7


# ----------------------------------------------------------------------------------------- the parts


def test_the_ledger_reads_what_it_wrote(tmp_path: Path) -> None:
    lines = [
        Line(1, 1, True, "gw-1-b0", "0192-a", 12),
        Line(12, 345, False, "gw-1-s3", "", 9_999_999),
        Line(2, 7, True, "gw-1-b1", "0192-b", -82_800_000),
    ]
    path = tmp_path / "ledger"
    assert read_lines(path) == []
    path.write_bytes(b"".join(map(format_line, lines)))
    assert read_lines(path) == lines
    assert count_lines(path) == 3


@pytest.fixture
async def echo() -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_the_bad_network_is_as_bad_as_it_says(echo: asyncio.Server) -> None:
    proxy = Proxy(echo.sockets[0].getsockname()[1])
    await proxy.start()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", proxy.port)

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit_s: float = 5.0) -> bytes:
        writer.write(b"hello")
        return await asyncio.wait_for(reader.read(100), limit_s)

    first = await connect()
    assert await says(*first) == b"hello"
    proxy.stall()
    with pytest.raises(TimeoutError):
        await says(*first, 0.1)
    proxy.mend()
    assert await asyncio.wait_for(first[0].read(100), 5) == b"hello"
    proxy.lose()
    with pytest.raises(TimeoutError):
        await says(*first, 0.1)
    second = await connect()
    assert await says(*second) == b"hello"
    proxy.cut()
    with pytest.raises(ConnectionError):
        await says(*second)
    third = await connect()
    with pytest.raises(ConnectionError):
        await says(*third)
    proxy.mend()
    fourth = await connect()
    assert await says(*fourth) == b"hello"
    assert proxy.connections == 3
    assert proxy.refused == 1
    for _, writer in (first, second, third, fourth):
        writer.close()
    await proxy.stop()
    echo.close()
