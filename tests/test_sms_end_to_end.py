"""From a button at the edge to the phones of the neighbours and back: real processes, an emulated modem."""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any

import httpx
from conftest import Mosquitto
from fakes import eventually
from modem_emulator import Emulator
from processes import HubProcess, hub_process, run
from smsc import PASSWORD, SYSTEM_ID, Smsc
from test_edge_agent import Bell, bell, running, settings_of
from test_hub_web import HASHED, sign_in

from edge.contract import Leaf, device_urn, topic
from edge.drivers import Feedback, Lane
from hub.database import Pool
from hub.notify.text import SANTIAGO
from hub.servers.child import free_port

__all__ = ["bell"]  # the fixture

GATEWAY = "gw-boldos"
DEVICES = (
    "device,gateway,kind,name,place,watch_group\n"
    f"boton-1,{GATEWAY},panic_button,Botón de la sede,Camino Ñuñoa 12,Los Boldos\n"
    f"boton-2,{GATEWAY},panic_button,Botón del puente,El Puente,El Puente\n"
    f"caseta-1,{GATEWAY},gate,Caseta,La Caseta,Los Boldos\n"
)
DUTY, ANA, LUIS, EVA = "+56987650000", "+56987650001", "+56987650002", "+56987650003"
PEOPLE = (
    "name,phone,watch_group,call_sign,role\n"
    f"Ana Rojas,{ANA},Los Boldos,Base 2,\nLuis Soto,{LUIS},Los Boldos,,guia\nEva Paz,{EVA},Los Boldos,,base\n"
)
MODEM = """
[[transports]]
kind = "modem"
name = "modem1"
port = "{port}"
per_hour = {per_hour}
burst = {burst}
"""
POLICY = """
policies:
  - name: vida
    priorities: [1]
    acknowledge_within_s: 2
    steps:
      - {{wait_s: {wait_s}, who: [duty]}}
      - {{wait_s: 2, who: [neighbours]}}
  - name: todo
    priorities: [2, 3, 4]
    acknowledge_within_s: 600
"""
SMPP = """
[[transports]]
kind = "smpp"
name = "operador"
order = 2
host = "127.0.0.1"
port = {port}
system_id = "{system_id}"
password_file = "{secret}"
"""
EXPECTED = re.compile(r"el último saldría a las <span class=\"number\">([0-9:]{8})")
LONG_S, SHORT_S = 600, 2
SIXTY = "name,phone,watch_group\n" + "".join(
    f"Persona {n:02},+5698{1_000_000 + n},Los Boldos\n" for n in range(60)
)


@dataclass(frozen=True)
class World:
    """A hub that runs, its database and broker, and the modem on its port."""

    hub: HubProcess
    pool: Pool
    broker: Mosquitto
    modem: Emulator
    folder: Path

    async def press(self, bell: Bell, device: str = "boton-1", what: str = "panic.pressed") -> str:
        """The code of the alert that the gateway's event opens."""
        await eventually(lambda: bell.outlet)
        assert bell.outlet is not None
        await bell.outlet.event(device, what, {}, Lane.ALARM)
        found = "select code from alerts where device_id = (select device_id from devices where source = $1)"
        code = await eventually(lambda: self.pool.fetchval(found, device_urn(device)))
        return str(code)

    async def waiting(self) -> int:
        """How many texts are still to leave."""
        queued = "select count(*) from notifications where state = 'queued'"
        return int(await self.pool.fetchval(queued))

    async def moves(self) -> list[tuple[str, str, str]]:
        rows = await self.pool.fetch("select author, move, note from alert_log order by log_id")
        return [tuple(row) for row in rows]

    def got(self, phone: str) -> list[str]:
        """What that phone got by the modem, in order."""
        return [text for to, text in self.modem.texts() if to == phone]


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    dsn: str,
    pool: Pool,
    broker: Mosquitto,
    *,
    people: str = PEOPLE,
    wait_s: int = LONG_S,
    message_s: float = 0.0,
    burst: int = 1000,
    more: str = "",
) -> AsyncIterator[World]:
    (folder / "dispositivos.csv").write_text(DEVICES, "utf-8")
    (folder / "personas.csv").write_text(people, "utf-8")
    data = folder / "data"
    data.mkdir(mode=0o711)
    (data / "policies.yaml").write_text(POLICY.format(wait_s=wait_s), "utf-8")
    for room, file in (("devices", "dispositivos.csv"), ("contacts", "personas.csv")):
        code, output = await run("hub.cli", room, "import", str(folder / file), "--database", dsn)
        assert code == 0, output
    port = folder / "modem"
    modem_settings = MODEM.format(port=port, per_hour=60 * burst, burst=burst)
    config = folder / "hub.toml"
    config.write_text(f'duty_phone = "{DUTY}"\n{modem_settings}{more}', "utf-8")
    options = ("--mqtt", f"127.0.0.1:{broker.port}", "--database", dsn, "--data", str(data))
    environment = {"ALMENARA_HUB_CONFIG": str(config)}
    with Emulator(port, message_s=message_s) as modem:
        async with hub_process(folder / "hub", *options, environment=environment) as hub:
            opened = World(hub, pool, broker, modem, folder)
            await eventually(lambda: is_up(pool))
            yield opened
            assert await hub.stop() == 0


async def is_up(pool: Pool) -> bool:
    """The modem is set up and the hub has looked at it."""
    return bool(await pool.fetchval("select is_ok from transport_states where transport = 'modem1'"))


@contextlib.asynccontextmanager
async def gateway(world: World) -> AsyncIterator[None]:
    """The agent of the edge, with its outbox on disk and a button that the test presses."""
    given = settings_of(world.folder, world.broker.port, gateway=GATEWAY, drivers=[{"driver": "bell"}])
    async with running(given):
        yield


@contextlib.asynccontextmanager
async def overheard(world: World, *leaves: Leaf) -> AsyncIterator[list[tuple[str, Any]]]:
    """(leaf, payload) of what passes on the gateway's topics, heard by Debian's own client."""
    topics = [word for leaf in leaves for word in ("-t", topic(GATEWAY, leaf))]
    client = await asyncio.create_subprocess_exec(
        "/usr/bin/mosquitto_sub", "-h", world.broker.host, "-p", str(world.broker.port), "-q", "1", "-v",
        *topics, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    heard: list[tuple[str, Any]] = []

    async def listen() -> None:
        assert client.stdout is not None
        async for line in client.stdout:
            name, _, payload = line.decode().partition(" ")
            heard.append((name.rpartition("/")[2], json.loads(payload)))

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        client.terminate()
        await client.wait()
        await task


async def test_a_press_is_texted_answered_and_shown_at_the_button(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto, bell: Bell
) -> None:
    async with (
        world(server_folder, dsn, pool, mosquitto) as here,
        overheard(here, Leaf.COMMAND, Leaf.RESULT) as heard,
        gateway(here),
    ):
        code = await here.press(bell)
        await eventually(lambda: len(here.modem.texts()) >= 4)
        # the guard on duty first, then the group's base and its guide; each of them once
        assert [to for to, _ in here.modem.texts()] == [DUTY, EVA, LUIS, ANA]
        happened_at = await pool.fetchval("select happened_at from alerts")
        said = (
            f"ALERTA {code} PANICO Camino Ñuñoa 12, {happened_at.astimezone(SANTIAGO):%H:%M}."
            " Responda 1 voy, 2 sin novedad, 3 ayuda. No se enfrente. Emergencia 133."
        )
        assert {text for _, text in here.modem.texts()} == {said}
        # the network's reports reach the ledger
        delivered = (
            "select bool_and(coalesce(is_delivered, false)) from notifications where purpose = 'alert'"
        )
        await eventually(lambda: pool.fetchval(delivered))
        here.modem.receive(ANA, f"1 {code}")
        await eventually(lambda: pool.fetchval("select state = 'acknowledged' from alerts"))
        assert await pool.fetchval("select due_at is null from escalations")
        assert ("Ana Rojas (SMS)", "acknowledge", f"por SMS: «1 {code}»") in await here.moves()
        # the light at the button, and the gateway's answer
        await eventually(lambda: any(feedback is Feedback.ON_ITS_WAY for _, feedback in bell.feedback))
        await eventually(lambda: any(leaf == "result" for leaf, _ in heard))
        [command] = [payload for leaf, payload in heard if leaf == "command"]
        assert (command["name"], command["arguments"]["feedback"]) == ("show_feedback", "on_its_way")
        await eventually(lambda: pool.fetchval("select state = 'done' from commands"))
        await eventually(lambda: len(here.got(ANA)) == 2)
        assert here.got(ANA)[1].startswith("Recibido")


async def test_a_long_text_leaves_part_by_part_and_is_delivered_when_all_of_it_is(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto
) -> None:
    text = "Corte de agua por obras: " + " ".join(f"calle {n} [norte]," for n in range(20)) + " ñandú."
    async with world(server_folder, dsn, pool, mosquitto) as here:
        await pool.execute(
            "insert into notifications (notification_id, contact_id, recipient, priority, text, due_at,"
            " created_at) select gen_random_uuid(), contact_id, name, 4, $1, now(), now() from contacts",
            text,
        )
        await eventually(
            lambda: pool.fetchval("select bool_and(coalesce(is_delivered, false)) from notifications")
        )
        assert sorted(here.modem.texts()) == [(to, text.replace("ú", "u")) for to in (ANA, LUIS, EVA)]
        parts = [sent.submit.concat for sent in here.modem.sent]
        numbers = [part.number for part in parts if part is not None]
        total = len(parts) // 3
        assert total > 2
        assert numbers == 3 * list(range(1, total + 1))


async def test_nobody_replies_and_the_next_step_goes_out(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto, bell: Bell
) -> None:
    async with world(server_folder, dsn, pool, mosquitto, wait_s=SHORT_S) as here, gateway(here):
        code = await here.press(bell)
        await eventually(lambda: len(here.got(EVA)) == 2)
        assert re.match(f"SIN ACUSE HACE 2 s {code} PANICO Camino Ñuñoa 12", here.got(DUTY)[1])
        assert re.match(f"SIN ACUSE HACE 4 s {code} PANICO Camino Ñuñoa 12", here.got(EVA)[1])
        steps = [note for author, move, note in await here.moves() if move == "escalated"]
        assert steps[:2] == [
            "paso 1, sin acuse hace 2 s: turno",
            "paso 2, sin acuse hace 4 s: grupo Los Boldos",
        ]


async def test_a_modem_dropped_in_the_middle_is_taken_over_and_nobody_is_told_three_times(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto, bell: Bell
) -> None:
    secret = server_folder / "clave"
    secret.write_text(PASSWORD)
    smsc = Smsc(free_port())
    await smsc.start()
    operator = SMPP.format(port=smsc.port, system_id=SYSTEM_ID, secret=secret)
    options: Any = {"people": SIXTY, "message_s": 0.1, "more": operator}
    async with world(server_folder, dsn, pool, mosquitto, **options) as here, gateway(here):
        await here.press(bell)
        await asyncio.to_thread(here.modem.wait_sent, 20)
        here.modem.unplug()
        await eventually(lambda: pool.fetchval("select bool_and(state = 'sent') from notifications"))
        by_modem = [sent.submit.recipient for sent in here.modem.sent]
    by_operator = ["+" + line["to"].lstrip("+") for line in smsc.submits()]
    await smsc.kill()
    got = Counter(by_modem) + Counter(by_operator)
    assert len(got) == 61
    assert max(got.values()) <= 2
    assert sum(got.values()) <= 62  # at most the one that was on its way when the modem went
    assert len(by_modem) < 30
    assert by_modem[0] == DUTY


def between(texts: list[tuple[str, str]], code: str) -> list[int]:
    """Where the texts of an alert left, among all."""
    return [place for place, (_, text) in enumerate(texts) if f" {code} " in text]


async def test_one_slow_modem_tells_guards_first_and_lets_a_life_alert_overtake(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto, bell: Bell
) -> None:
    """0.4 s a text where a real modem takes 4."""
    await pool.execute(
        "insert into users (login, name, role, password) values ('olga', 'Olga Soto', 'operador', $1)", HASHED
    )
    people = SIXTY + "".join(f"Vecino {n},+5698{2_000_000 + n},El Puente\n" for n in range(3))
    options: Any = {"people": people, "message_s": 0.4}
    async with world(server_folder, dsn, pool, mosquitto, **options) as here, gateway(here):
        slow = await here.press(bell, "caseta-1", "tamper.detected")
        await asyncio.to_thread(here.modem.wait_sent, 10)
        assert here.modem.texts()[0][0] == DUTY
        await assert_expected_time_is_shown(here, slow)
        before = len(here.modem.sent)
        urgent = await here.press(bell, "boton-2")
        await asyncio.to_thread(here.modem.wait_sent, before + 8)
        overtaking = between(here.modem.texts(), urgent)
        # one text, at most, was on its way already, and one was being taken
        assert overtaking[0] <= before + 2
        assert overtaking == list(range(overtaking[0], overtaking[0] + 4))
        assert here.modem.texts()[overtaking[0]][0] == DUTY
        third = await here.press(bell, "boton-1")
        await asyncio.to_thread(here.modem.wait_sent, 70, 60)
        texts = here.modem.texts()
        # all the sixty of a second life alert come behind it, and before what was less urgent
        assert texts[between(texts, third)[0]][0] == DUTY
        assert max(between(texts, slow)[:20]) < min(between(texts, third))


async def assert_expected_time_is_shown(here: World, code: str) -> None:
    """The page says when the last text should have left: what waits, at the pace of the modem."""
    alert_id = await here.pool.fetchval("select alert_id from alerts where code = $1", code)
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(base_url=here.hub.url() or "", headers=headers) as client:
        await sign_in(client, "olga")

        async def shown() -> re.Match[str] | None:
            page = (await client.get(f"/alertas/{alert_id}")).text
            return EXPECTED.search(page)

        before, began = await here.waiting(), datetime.now(SANTIAGO)
        found = await eventually(shown)
        after, ended = await here.waiting(), datetime.now(SANTIAGO)
    at = datetime.combine(ended, time.fromisoformat(found[1]), SANTIAGO)
    # whenever it was worked out in between; the modem's pace was measured, on a machine that may be busy
    assert (at - began).total_seconds() >= 0.35 * after
    assert (at - ended).total_seconds() <= 0.8 * before + 5


async def test_a_sim_at_its_limit_still_takes_the_guards_of_a_life_alert(
    server_folder: Path, dsn: str, pool: Pool, mosquitto: Mosquitto, bell: Bell
) -> None:
    """Of ten texts in a minute two are kept for priority 1."""
    async with (
        world(server_folder, dsn, pool, mosquitto, people=SIXTY, burst=10) as here,
        gateway(here),
    ):
        await here.press(bell, "caseta-1", "tamper.detected")
        await asyncio.to_thread(here.modem.wait_sent, 8)
        waiting = "select count(*) from notifications where state = 'queued' and error like '%límite%'"
        await eventually(lambda: pool.fetchval(waiting))
        urgent = await here.press(bell, "boton-2")
        await eventually(lambda: any(f" {urgent} " in text for text in here.got(DUTY)))
        assert await pool.fetchval("select is_ok and not is_open from transport_states")
        assert await pool.fetchval("select max(attempts) from notifications") <= 3
        # the others go as the operator allows, one in six seconds
        await asyncio.to_thread(here.modem.wait_sent, len(here.modem.sent) + 1, 15)
