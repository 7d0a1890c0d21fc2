"""People correct alerts, reserved ones stay with their roles, and a shift is handed over."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.alerts import catalogue, service, silences
from hub.alerts.catalogue import CatalogueError
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Move, Reason
from hub.alerts.model import RESTRICTED_KINDS
from hub.alerts.visibility import SEES_RESTRICTED
from hub.cli import main
from hub.database import Pool
from hub.notify import contacts, escalating, policy_file
from hub.notify import service as notify
from hub.web.permissions import ROLES, Permission

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
CODES = catalogue.load()
POLICIES = policy_file.load(None)


def after(**length: float) -> datetime:
    return NOW + timedelta(**length)


def finding(key: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "r",
        "kind": key.partition(":")[0],
        "priority": 1,
        "dedup_key": key,
        "summary": "Botón de pánico",
        "happened_at": NOW,
        "place": "Los Boldos 12",
        "watch_group": "Los Boldos",
    }
    return Finding(**(values | changes))


async def raise_one(pool: Pool, key: str = "panic:1", now: datetime = NOW, **changes: Any) -> uuid.UUID:
    async with pool.acquire() as connection, connection.transaction():
        [outcome] = await service.receive(connection, [finding(key, **changes)], now)
        await notify.enqueue_for(connection, [outcome], now, policies=POLICIES)
    return outcome.alert_id


async def notes(pool: Pool, alert_id: uuid.UUID, word: str) -> list[tuple[str, str]]:
    return [(e.author, e.note) for e in await service.timeline(pool, alert_id) if e.move == word]


# ----------------------------------------------------------------------------------- priority


async def test_a_priority_is_changed_with_author_and_reason_and_calls_by_the_new_policy(pool: Pool) -> None:
    alert_id = await raise_one(pool, "gate_open:1", priority=3)
    changed = await service.change_priority(
        pool, alert_id, 1, author="ana", reason="hay gente adentro", now=after(minutes=2)
    )
    assert (changed.priority, changed.version) == (1, 2)
    assert await notes(pool, alert_id, "priority") == [("ana", "P3 → P1: hay gente adentro")]
    hub = escalating.Escalator(pool=pool, policies=lambda: POLICIES)
    await hub.fire_due(after(minutes=2))
    assert await pool.fetchval("select due_at from escalations") == after(minutes=2, seconds=30)
    await hub.fire_due(after(minutes=2, seconds=30))
    assert await notes(pool, alert_id, "escalated") == [
        ("hub:escalation", "paso 1, sin acuse hace 150 s: turno")
    ]


async def test_a_taken_alert_keeps_its_own_clock_when_its_priority_changes(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    await service.move(pool, alert_id, Move.ACKNOWLEDGE, author="ana", now=after(seconds=5))
    before = await pool.fetchval("select due_at from escalations")
    await service.change_priority(pool, alert_id, 2, author="ana", reason="menor", now=after(seconds=9))
    assert await pool.fetchval("select due_at from escalations") == before


@pytest.mark.parametrize(("priority", "reason"), [(0, "x"), (5, "x"), (2, " "), (2, "\x00")])
async def test_a_priority_without_reason_or_sense_changes_nothing(
    pool: Pool, priority: int, reason: str
) -> None:
    alert_id = await raise_one(pool)
    with pytest.raises(service.AmendError):
        await service.change_priority(pool, alert_id, priority, author="ana", reason=reason, now=NOW)
    with pytest.raises(service.ConflictError):
        await service.change_priority(
            pool, alert_id, 2, author="ana", reason="x", now=NOW, expected_version=9
        )
    with pytest.raises(service.UnknownAlertError):
        await service.change_priority(pool, uuid.uuid4(), 2, author="ana", reason="x", now=NOW)
    assert (await pool.fetchval("select version from alerts")) == 1


# ------------------------------------------------------------------------------ classification


def test_the_catalogue_that_comes_along_holds_the_operational_families() -> None:
    assert {code.family for code in CODES.codes} == {"EMG", "VIF", "DEL", "INC", "RUR", "TEC", "SOC"}
    assert sum(code.dmcs for code in CODES.codes) >= 9
    assert CODES.by_code["VIF"].is_restricted
    assert all(code.cead for code in CODES.codes if code.family == "DEL")
    suggested = CODES.suggest("gate_open")
    assert suggested is not None
    assert suggested.code == "RUR.PORTON"
    assert CODES.suggest("nada") is None


GOOD = "{code: INC.X, label: x, priority: 4, competence: municipal}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "falta la lista"),
        ("codes: [", "catalogue.yaml:1: no es YAML"),
        ("codes: &a [*a]", "anclas"),
        ("codes: [3]", "no son campos"),
        (f"codes:\n- {GOOD}\n- {GOOD}", "catalogue.yaml:3: INC.X está dos veces"),
        ("codes: [{code: inc, label: x, priority: 4, competence: municipal}]", "mayúsculas"),
        ("codes: [{code: INC, label: x, priority: 9, competence: municipal}]", "de 1 (vida) a 4"),
        ("codes: [{code: INC, label: x, priority: true, competence: municipal}]", "priority tiene otro tipo"),
        ("codes: [{code: INC, label: x, priority: 4, competence: nadie}]", "competence"),
        ("codes: [{code: INC, label: x, priority: 4}]", "falta competence"),
        ("codes: [{code: INC, labl: x, priority: 4, competence: municipal}]", "«labl»"),
    ],
)
def test_a_wrong_catalogue_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        catalogue.parse(text)
    assert words in str(caught.value)


OWN = """legal: Ordenanza 12/2026
codes:
  - {code: INC.RUIDOS, priority: 3}
  - {code: INC.VEREDA, retired: true}
  - {code: SOC.PLAYA, label: Bañista, priority: 1, competence: armada, legal: Bando 3, kinds: [swim]}
"""


def test_a_municipality_changes_rows_and_adds_its_own() -> None:
    ours = catalogue.parse(OWN, base=CODES)
    assert len(ours.codes) == len(CODES.codes) + 1
    noise = ours.by_code["INC.RUIDOS"]
    assert (noise.priority, noise.label, noise.legal) == (3, "Ruidos molestos", "Ordenanza 12/2026")
    assert ours.by_code["INC.VEREDA"].retired
    assert ours.by_code["SOC.PLAYA"].legal == "Bando 3"
    suggested = ours.suggest("swim")
    assert suggested is not None
    assert suggested.code == "SOC.PLAYA"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{code: DEL.SEXUAL, visibility: normal}", ":3: DEL.SEXUAL es reservado y no puede dejar de serlo"),
        ("{code: INC.NUEVO, priority: 3}", ":3: falta label"),
        ("{code: INC.RUIDOS, priority: 7}", ":3: la prioridad va de 1"),
    ],
)
def test_an_own_row_that_cannot_be_is_refused_with_its_line(row: str, words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        catalogue.parse(f"legal: x\ncodes:\n  - {row}\n", base=CODES)
    assert words in str(caught.value)


async def test_a_code_that_alerts_use_is_never_dropped(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / catalogue.FILE
    path.write_text(OWN)
    book = catalogue.CatalogueBook(path)
    alert_id = await raise_one(pool)
    await service.reclassify(pool, alert_id, "SOC.PLAYA", book(), author="ana", now=NOW)
    path.write_text("codes: [")
    book.refresh()
    assert book.problems[0].startswith("catalogue.yaml:1: no es YAML")
    assert not book().by_code["SOC.PLAYA"].retired
    path.unlink()
    book.refresh()
    assert book().by_code["SOC.PLAYA"].retired
    assert book().by_code["SOC.PLAYA"].label == "Bañista"
    assert not book().by_code["INC.VEREDA"].retired
    again = catalogue.CatalogueBook(path)
    await again.keep_used(pool)
    assert again().by_code["SOC.PLAYA"].retired
    with pytest.raises(service.AmendError):
        await service.reclassify(pool, await raise_one(pool), "SOC.PLAYA", again(), author="ana", now=NOW)


def test_the_command_checks_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / catalogue.FILE
    path.write_text(OWN)
    assert main(["catalogue", "check", str(path)]) == 0
    assert "nuevo\tSOC.PLAYA\tP1\tarmada\tBañista\tBando 3" in capsys.readouterr().out
    assert main(["catalogue", "list", "--data", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "INC.VEREDA\tP4\tmunicipal\tOcupación de vereda\tOrdenanza 12/2026\tretirado" in listed
    path.write_text("codes: [{code: X}]")
    assert main(["catalogue", "check", str(path)]) != 0
    assert "catalogue.yaml:1:" in capsys.readouterr().err


async def test_the_first_code_is_kept_and_each_later_one_says_why(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    await service.reclassify(pool, alert_id, "INC.RUIDOS", CODES, author="ana", now=NOW)
    with pytest.raises(service.AmendError, match="motivo"):
        await service.reclassify(pool, alert_id, "DEL.HURTO", CODES, author="luis", now=NOW)
    changed = await service.reclassify(
        pool, alert_id, "DEL.HURTO", CODES, author="luis", reason="denuncia posterior", now=NOW
    )
    assert (changed.classification, changed.first_classification) == ("DEL.HURTO", "INC.RUIDOS")
    assert await notes(pool, alert_id, "classified") == [
        ("ana", "INC.RUIDOS"),
        ("luis", "INC.RUIDOS → DEL.HURTO: denuncia posterior"),
    ]
    with pytest.raises(service.AmendError, match="catálogo"):
        await service.reclassify(pool, alert_id, "DEL.NADA", CODES, author="ana", reason="x", now=NOW)


# --------------------------------------------------------------------------------- reserved


def test_the_roles_that_see_reserved_alerts_are_those_of_the_console() -> None:
    assert SEES_RESTRICTED & set(ROLES) == {
        role for role, may in ROLES.items() if Permission.SEE_RESTRICTED in may
    }


@pytest.mark.parametrize("role", [None, *sorted(ROLES), "desconocido"])
async def test_reads_leave_out_what_a_role_may_not_know_of(pool: Pool, role: str | None) -> None:
    hidden = [await raise_one(pool, f"{kind}:9") for kind in sorted(RESTRICTED_KINDS)]
    reserved, plain = await raise_one(pool, "panic:1"), await raise_one(pool, "panic:2")
    await service.reclassify(pool, reserved, "VIF", CODES, author="ana", now=NOW)
    may = role is None or role in SEES_RESTRICTED
    expected = {plain, *((*hidden, reserved) if may else ())}
    assert {a.alert_id for a in await service.list_open(pool, role=role)} == expected
    assert {a.alert_id for a in await service.search(pool, role=role)} == expected
    everything = [*hidden, reserved, plain]
    found = {i for i in everything if await service.get(pool, i, role=role)}
    assert found == expected
    sheet = await service.handover(pool, after(hours=-1), after(hours=1), role)
    assert {a.alert_id for a in sheet.open} == expected
    assert {c.alert_id for c in sheet.changes} == expected
    for alert in await service.list_open(pool):
        assert service.may_see(role, alert) == (alert.alert_id in expected)


async def test_what_turns_out_to_be_reserved_tells_neighbours_nothing_more(pool: Pool) -> None:
    await contacts.import_csv(pool, "name,phone,watch_group\nRosa,+56987650009,Los Boldos\n")
    alert_id = await raise_one(pool)
    changed = await service.reclassify(pool, alert_id, "VIF", CODES, author="ana", now=NOW)
    assert changed.is_restricted
    rows = await pool.fetch("select recipient, state from notifications order by 1")
    assert [tuple(row) for row in rows] == [("Rosa", "failed"), ("turno", "queued")]
    policies = policy_file.parse(
        "policies:\n- {name: vida, priorities: [1], steps: [{wait_s: 30, who: [neighbours]}]}\n"
    )
    await escalating.Escalator(pool=pool, policies=lambda: policies).fire_due(after(seconds=30))
    texts = await pool.fetch("select recipient, text from notifications where state = 'queued'")
    assert {row["recipient"] for row in texts} == {"turno"}
    [reminder] = [row["text"] for row in texts if "Sin acuse" in row["text"]]
    assert "Boldos" not in reminder
    assert "PANICO" not in reminder


# ------------------------------------------------------------------------------------- links


async def test_links_join_rooms_once_and_the_timeline_keeps_their_end(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    for _ in range(2):
        await service.link(
            pool, alert_id, service.LinkSort.OPERATION, " OPF-2027-0014 ", author="ana", now=NOW
        )
    [link] = await service.links_of(pool, alert_id)
    assert (link.reference, link.sort) == ("OPF-2027-0014", service.LinkSort.OPERATION)
    assert await service.alerts_linked_to(pool, service.LinkSort.OPERATION, "OPF-2027-0014") == [link]
    with pytest.raises(service.AmendError):
        await service.link(pool, alert_id, service.LinkSort.PLACE, "  ", author="ana", now=NOW)
    with pytest.raises(service.UnknownAlertError):
        await service.link(pool, uuid.uuid4(), service.LinkSort.PLACE, "x", author="ana", now=NOW)
    await service.unlink(pool, link.link_id, author="luis", reason="era otro", now=NOW)
    assert await service.links_of(pool, alert_id) == []
    assert await notes(pool, alert_id, "linked") == [("ana", "operation: OPF-2027-0014")]
    assert await notes(pool, alert_id, "unlinked") == [("luis", "operation: OPF-2027-0014: era otro")]
    with pytest.raises(service.AmendError, match="no existe"):
        await service.unlink(pool, link.link_id, author="luis", reason="x", now=NOW)


# --------------------------------------------------------------------------------- hand-over


async def test_the_sheet_shows_what_the_next_shift_has_to_know(pool: Pool) -> None:
    await contacts.import_csv(pool, "name,phone,watch_group\nRosa,+56987650009,Los Boldos\n")
    await pool.execute("insert into gateways (gateway) values ('gw-1')")
    await pool.execute(
        "insert into devices (source, gateway, kind, name, place, silent_after_s) values"
        " ('a', 'gw-1', 'camera', 'Plaza', 'Plaza', 180),"
        " ('b', 'gw-1', 'duress_button', 'B', 'SECRETO', 180),"
        " ('c', 'gw-1', 'camera', 'Viva', 'Viva', 180)"
    )
    await pool.execute(
        "insert into device_state (device_id, last_seen_at) select device_id,"
        " $1::timestamptz - case source when 'c' then interval '0' else interval '1 hour' end from devices",
        after(hours=8),
    )
    old = await raise_one(pool, "panic:0", now=after(hours=-20))
    worked = await raise_one(pool, "panic:1", now=after(hours=1))
    closed = await raise_one(pool, "smoke:2", now=after(hours=2))
    await service.move(pool, worked, Move.ACKNOWLEDGE, author="ana", now=after(hours=1, seconds=9))
    await service.move(pool, worked, Move.COMMENT, author="luis", note="va", now=after(hours=1, seconds=19))
    await service.move(
        pool, closed, Move.CLOSE, author="ana", now=after(hours=3), reason=Reason.NOTHING_FOUND
    )
    await pool.execute("update notifications set state = 'sent' where alert_id = $1", worked)
    await silences.create_silence(
        pool, sort=silences.Sort.SILENCE, author="ana", reason="poda", starts_at=NOW,
        ends_at=after(hours=10), now=NOW, gateway="gw-1",
    )  # fmt: skip
    sheet = await service.handover(pool, NOW, after(hours=8))
    assert [a.alert_id for a in sheet.open] == [old, worked]
    assert sheet.open_count == 2
    by_id = {change.alert_id: change for change in sheet.changes}
    assert set(by_id) == {worked, closed}
    assert by_id[worked].moves == ("acknowledge", "comment")
    assert by_id[worked].authors == ("ana", "luis")
    assert (by_id[closed].was_opened, by_id[closed].was_closed, by_id[closed].state) == (True, True, "closed")
    assert [s.reason for s in sheet.silences_ending] == ["poda"]
    assert sheet.devices_out_count == 2
    assert {d.kind: d.place for d in sheet.devices_out} == {"camera": "Plaza", "duress_button": ""}
    assert [(p.alert_id, p.asked, p.answered) for p in sheet.pending] == [(worked, 1, 0)]
    assert [a.alert_id for a in sheet.overdue] == [old]
    assert "+569" not in repr(sheet)
    await notify.confirm(pool, worked, "contact:1", "coming", after(hours=8))
    assert (await service.handover(pool, NOW, after(hours=8))).pending == []


async def test_a_digest_stands_for_exactly_what_was_shown(pool: Pool) -> None:
    await raise_one(pool)
    sheet = await service.handover(pool, NOW, after(hours=8))
    again = await service.handover(pool, NOW, after(hours=8))
    assert sheet.digest() == again.digest()
    assert replace(sheet, open_count=7).digest() != sheet.digest()
    await raise_one(pool, "panic:2")
    assert (await service.handover(pool, NOW, after(hours=8))).digest() != sheet.digest()


async def test_a_shift_is_signed_off_by_one_and_on_by_another(pool: Pool) -> None:
    shift: dict[str, Any] = {"since": NOW, "digest": "d", "now": after(hours=8)}
    off = await service.sign(pool, login="ana", role="off", **shift, note="todo en orden")
    with pytest.raises(service.HandoverError, match="no puede recibirlo"):
        await service.sign(pool, login="ana", role="on", **shift)
    with pytest.raises(service.HandoverError, match="ya firmó"):
        await service.sign(pool, login="ana", role="off", **shift)
    on = await service.sign(pool, login="luis", role="on", **(shift | {"now": after(hours=8, minutes=1)}))
    assert await service.signatures(pool) == [on, off]


async def test_a_long_shift_stays_within_its_pages(pool: Pool) -> None:
    async def batch(part: int) -> None:
        for n in range(part * 100, part * 100 + 100):
            await raise_one(pool, f"panic:{n}")

    await asyncio.gather(*(batch(part) for part in range(3)))
    sheet = await service.handover(pool, NOW, after(hours=8))
    assert (len(sheet.open), sheet.open_count) == (200, 300)
    assert (len(sheet.changes), sheet.change_count) == (200, 300)
