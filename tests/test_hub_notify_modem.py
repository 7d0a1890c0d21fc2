"""The modem transport against the emulated modem: every fault, and what must not be lost through it."""

import asyncio
import contextlib
import random
import re
import tomllib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import eventually
from modem_emulator import EXPIRED, NEVER, Emulator, Reports

from hub.clock import SystemClock
from hub.metrics import Metrics
from hub.notify.transports import DeliveryReport, Inbound, Outgoing, TransportError, TransportEvent
from hub.notify.transports.modem.errors import (
    NO_ANSWER,
    NO_SMSC,
    PIN_MALFORMED,
    PIN_NEEDED,
    PIN_RISKY,
    PIN_UNREADABLE,
    PIN_WRONG,
    PORT_BUSY,
    PORT_MISSING,
    PUK_NEEDED,
    ModemError,
    RateLimitedError,
)
from hub.notify.transports.modem.figures import publish
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.modem.timing import Timing
from hub.notify.transports.modem.transport import ModemTransport
from hub.notify.transports.spec import ModemSpec
from hub.settings import SettingsError, load

ROSA, LUIS = "+56987654321", "+56998765432"
QUICK = Timing(
    command_s=1.0,
    greeting_s=0.3,
    network_s=2.0,
    prompt_s=0.3,
    submit_s=0.5,
    report_grace_s=0.5,
    part_retry_s=0.02,
    sim_s=1.0,
    watch_s=0.3,
    search_s=0.1,
    sweep_s=0.3,
    boot_s=0.4,
    reopen_s=0.05,
    problem_s=0.1,
)
TEXTS = 40
LONG = "Atención: #K7 PÁNICO en Los Boldos 12. ¿Quién va? Responda 1 K7. " * 6


@dataclass
class Rig:
    """A modem, the transport on it, and what the hub heard and committed."""

    emulator: Emulator
    transport: ModemTransport
    events: list[TransportEvent] = field(default_factory=list)

    async def send(self, text: str, to: str = ROSA, priority: int = 1) -> tuple[str, ...]:
        return await self.transport.send(outgoing(text, to, priority))

    async def ready(self) -> None:
        await eventually(lambda: self.transport.state.is_ok, 10)

    async def reports(self, count: int) -> list[DeliveryReport]:
        def told() -> list[DeliveryReport]:
            return [event for event in self.events if isinstance(event, DeliveryReport)]

        await eventually(lambda: len(told()) >= count, 10)
        return told()

    async def inbound(self, count: int) -> list[Inbound]:
        def told() -> list[Inbound]:
            return [event for event in self.events if isinstance(event, Inbound)]

        await eventually(lambda: len(told()) >= count, 10)
        return told()

    def stored(self) -> int:
        """Messages in the modem's memories."""
        return sum(len(memory.slots) for memory in self.emulator.modem.memories.values())

    async def refused(self, text: str = "Hola", to: str = ROSA) -> ModemError:
        with pytest.raises(ModemError) as caught:
            await self.send(text, to)
        return caught.value


def outgoing(text: str, to: str = ROSA, priority: int = 1) -> Outgoing:
    return Outgoing(
        notification_id=uuid.uuid4(),
        at=datetime.now(UTC),
        to=to,
        recipient="Rosa",
        text=text,
        priority=priority,
    )


@contextlib.asynccontextmanager
async def working(
    emulator: Emulator, timing: Timing = QUICK, *, is_read: bool = True, **settings: Any
) -> AsyncIterator[Rig]:
    """A transport that runs; ``is_read`` has its events committed as they come."""
    chosen = ModemSettings(name="m1", port=emulator.port, **settings)
    rig = Rig(emulator, ModemTransport(chosen, SystemClock(), timing=timing))
    tasks = [asyncio.create_task(rig.transport.run_loop())]
    if is_read:
        tasks.append(asyncio.create_task(_read(rig)))
    await asyncio.sleep(0)
    try:
        yield rig
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _read(rig: Rig) -> None:
    async for event in rig.transport.events():
        rig.events.append(event)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path / "modem") as started:
        yield started


@pytest.fixture
async def rig(emulator: Emulator) -> AsyncIterator[Rig]:
    async with working(emulator) as working_rig:
        await working_rig.ready()
        yield working_rig


# ------------------------------------------------------------------------------------------- sending


async def test_a_text_goes_out_and_its_report_names_it(rig: Rig) -> None:
    references = await rig.send("Ñandú: ¿quién va? á é í ó ú")
    assert rig.emulator.texts() == [(ROSA, "Ñandu: ¿quién va? a é i o u")]
    [report] = await rig.reports(1)
    assert ((report.reference,), report.is_delivered, report.detail) == (references, True, "entregado")


async def test_full_accents_are_kept_where_the_settings_say_so(emulator: Emulator) -> None:
    async with working(emulator, full_accents=True) as rig:
        await rig.send("Intrusión 🚨")
        assert emulator.texts() == [(ROSA, "Intrusión 🚨")]


async def test_a_long_text_goes_in_order_with_one_reference_a_part(emulator: Emulator) -> None:
    async with working(emulator, full_accents=True) as rig:
        references = await rig.send(LONG)
        parts = [sent.submit.concat for sent in emulator.sent]
        assert [(part.number, part.total) for part in parts if part] == [(n, 6) for n in range(1, 7)]
        assert len({part.reference for part in parts if part}) == 1
        assert emulator.texts() == [(ROSA, LONG)]
        assert [report.reference for report in await rig.reports(6)] == list(references)
        assert len(set(references)) == 6


async def test_two_long_texts_to_one_phone_have_different_references(rig: Rig) -> None:
    await asyncio.gather(rig.send(LONG), rig.send(LONG), rig.send(LONG, LUIS))
    found = {(s.submit.recipient, s.submit.concat.reference) for s in rig.emulator.sent if s.submit.concat}
    assert len({reference for to, reference in found if to == ROSA}) == 2


async def test_a_second_programme_cannot_take_the_port(rig: Rig) -> None:
    with pytest.raises(Exception, match=PORT_BUSY.cause):
        Link(rig.emulator.port, QUICK)


async def test_no_phone_and_a_bad_phone_are_refused_for_good(rig: Rig) -> None:
    with pytest.raises(TransportError) as caught:
        await rig.send("Hola", "")
    assert caught.value.permanent
    error = await rig.refused(to="Rosa")
    assert error.permanent
    assert "Rosa" not in str(error)
    assert await rig.send("Hola")


async def test_a_p1_overtakes_sixty_neighbours(emulator: Emulator) -> None:
    emulator.modem.message_s = 0.03
    slow = replace(QUICK, watch_s=30, sweep_s=30)
    async with working(emulator, slow, burst=1000) as rig:
        await rig.ready()
        neighbours = [asyncio.create_task(rig.send(f"Vecino {n}", LUIS, priority=3)) for n in range(60)]
        await eventually(lambda: len(emulator.sent) >= 5)
        before = len(emulator.sent)
        await rig.send("#K7 PANICO", ROSA, priority=1)
        await asyncio.gather(*neighbours)
        order = [sent.submit.text for sent in emulator.sent]
        # one was in the modem already, and one may have begun while this test looked
        assert order.index("#K7 PANICO") <= before + 2
        assert [text for text in order if text != "#K7 PANICO"] == [f"Vecino {n}" for n in range(60)]


async def test_a_text_that_nobody_waits_for_any_more_is_left_if_it_has_not_begun(emulator: Emulator) -> None:
    emulator.modem.message_s = 0.2
    async with working(emulator) as rig:
        await rig.ready()
        first, second = (asyncio.create_task(rig.send(text)) for text in ("Uno", "Dos"))
        await eventually(lambda: emulator.modem._is_busy)
        second.cancel()
        await first
        await rig.send("Tres")
        assert [text for _, text in emulator.texts()] == ["Uno", "Tres"]


async def test_the_sims_rate_is_kept_with_a_reserve_for_p1(emulator: Emulator) -> None:
    async with working(emulator, burst=5, per_hour=1) as rig:
        await rig.ready()
        for n in range(4):
            await rig.send(f"Vecino {n}", priority=3)
        with pytest.raises(RateLimitedError) as caught:
            await rig.send("Vecino 5", priority=3)
        assert not caught.value.permanent
        assert caught.value.rest_s is not None
        assert caught.value.rest_s > 1000
        assert await rig.send("#K7 PANICO", priority=1)


# ---------------------------------------------------------------------------------- errors of sending


async def test_passing_errors_are_tried_again_and_the_text_goes_out_once(rig: Rig) -> None:
    rig.emulator.faults.send_errors.extend([500, 42])
    await rig.send("Hola")
    assert rig.emulator.texts() == [(ROSA, "Hola")]


async def test_a_long_refusal_is_told_as_passing(rig: Rig) -> None:
    rig.emulator.faults.send_errors.extend([38, 38, 38])
    error = await rig.refused()
    assert (error.permanent, error.maybe_sent) == (False, False)
    assert "+CMS ERROR: 38" in str(error)
    assert await rig.send("Hola")


async def test_a_number_that_does_not_exist_is_not_tried_again(rig: Rig) -> None:
    rig.emulator.faults.send_errors.append(1)
    assert (await rig.refused()).permanent
    assert not rig.emulator.faults.send_errors
    assert rig.emulator.sent == []


async def test_a_barred_sim_is_no_fault_of_the_recipient(rig: Rig) -> None:
    rig.emulator.faults.send_errors.append(8)
    error = await rig.refused()
    assert not error.permanent
    assert "bloquea" in str(error)


async def test_half_a_text_may_have_been_read(rig: Rig) -> None:
    rig.emulator.modem.on_sent = _fail_after_first(rig.emulator, rig.emulator.modem.on_sent)
    error = await rig.refused(LONG)
    assert error.maybe_sent
    assert len(rig.emulator.sent) == 1


def _fail_after_first(emulator: Emulator, heard: Callable[[Any], None]) -> Callable[[Any], None]:
    def on_sent(sent: Any) -> None:
        emulator.faults.send_errors.extend([38] * 3)
        heard(sent)

    return on_sent


async def test_no_prompt_once_costs_an_attempt_only(rig: Rig) -> None:
    rig.emulator.faults.no_prompts = 1
    await rig.send("Hola")
    assert rig.emulator.texts() == [(ROSA, "Hola")]


async def test_no_prompt_at_all_is_told_and_nothing_has_left(rig: Rig) -> None:
    rig.emulator.faults.no_prompts = 3
    error = await rig.refused()
    assert (error.permanent, error.maybe_sent) == (False, False)
    await rig.send("Hola")
    assert rig.emulator.texts() == [(ROSA, "Hola")]


async def test_a_late_ok_is_waited_for(rig: Rig) -> None:
    rig.emulator.faults.late_oks, rig.emulator.faults.late_ok_s = 1, 0.2
    references = await rig.send("Hola")
    assert [report.reference for report in await rig.reports(1)] == list(references)


async def test_an_ok_later_than_patience_still_counts(rig: Rig) -> None:
    rig.emulator.set_reports(NEVER)
    rig.emulator.faults.late_oks, rig.emulator.faults.late_ok_s = 1, 0.8
    assert await rig.send("Hola")
    assert await rig.send("Otro", LUIS)
    assert rig.emulator.texts() == [(ROSA, "Hola"), (LUIS, "Otro")]


async def test_a_report_clears_up_a_text_whose_ok_was_lost(rig: Rig) -> None:
    rig.emulator.faults.lost_oks = 1
    references = await rig.send("Hola")
    assert [report.reference for report in await rig.reports(1)] == list(references)
    assert rig.emulator.texts() == [(ROSA, "Hola")]


async def test_a_report_clears_up_one_part_of_a_long_text(rig: Rig) -> None:
    rig.emulator.faults.lost_oks = 1
    references = await rig.send(LONG)
    reports = await rig.reports(len(references))
    assert {report.reference for report in reports} == set(references)
    assert len(rig.emulator.texts()) == 1


async def test_a_lost_ok_without_report_may_have_been_sent_and_holds_up_nobody(rig: Rig) -> None:
    rig.emulator.set_reports(NEVER)
    rig.emulator.faults.lost_oks = 1
    waiting = asyncio.create_task(rig.refused())
    await eventually(lambda: rig.emulator.sent)
    assert await rig.send("Otro", LUIS)
    assert not waiting.done()
    error = await waiting
    assert (error.permanent, error.maybe_sent) == (False, True)


async def test_a_notice_in_the_middle_of_a_reply_is_not_lost(rig: Rig) -> None:
    noise = ["^BOOT:20483416,0,0,0,72", "+CREG: 5", "RING"]
    rig.emulator.faults.inside_replies.extend(noise)
    await rig.send("Hola")
    await eventually(lambda: not rig.emulator.faults.inside_replies)
    rig.emulator.receive(LUIS, "1 K7")
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


async def test_noise_and_echo_do_no_harm(rig: Rig) -> None:
    rig.emulator.noise()
    await rig.send("Hola")
    rig.emulator.noise(b"\x00\xff\xfe")
    rig.emulator.modem.profile.has_echo = True
    await rig.send("Otro")
    assert [text for _, text in rig.emulator.texts()] == ["Hola", "Otro"]


async def test_an_old_report_does_not_speak_for_a_text_whose_ok_was_lost(rig: Rig) -> None:
    rig.emulator.set_reports(Reports(delay_s=0.7))
    first = await rig.send("Uno")
    rig.emulator.set_reports(NEVER)
    rig.emulator.faults.lost_oks = 1
    error = await rig.refused("Dos")
    assert error.maybe_sent
    assert [(report.reference,) for report in await rig.reports(1)] == [first]


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_told_of_a_text_is_true_whatever_goes_wrong(emulator: Emulator, seed: int) -> None:
    """Sent means sent once; failed without doubt means not sent; only doubt may be either."""
    chance = random.Random(seed)
    patient = replace(QUICK, submit_s=0.15, prompt_s=0.15, report_grace_s=0.3)
    async with working(emulator, patient, burst=10_000) as rig:
        await rig.ready()
        told: dict[str, str] = {}
        for number in range(TEXTS):
            if chance.random() < 0.8:
                await eventually(lambda: rig.transport.state.is_ok, 20)
            text = f"Texto {number}. " + "Los Boldos " * chance.choice((1, 1, 1, 20))
            emulator.modem.message_s = chance.choice((0.0, 0.01, 0.03))
            sending = asyncio.create_task(rig.send(text, chance.choice((ROSA, LUIS))))
            await asyncio.sleep(chance.choice((0, 0.002, 0.01)))  # into the middle of it, or not yet
            _harm(emulator, chance)
            try:
                await sending
                told[text] = "sent"
            except TransportError as error:
                told[text] = "doubt" if error.maybe_sent else "failed"
            emulator.receive(LUIS, f"Respuesta {number}")
        _heal(emulator)
        await eventually(lambda: rig.transport.state.is_ok, 20)
        inbound = [event.text for event in await rig.inbound(TEXTS)]
        parts = [sent.submit.text for sent in emulator.sent]
        whole = [text for _, text in emulator.texts()]
        assert sorted(inbound) == sorted(f"Respuesta {number}" for number in range(TEXTS))
        for text, outcome in told.items():
            begun = sum(part.startswith(text[:9]) for part in parts)
            assert {"sent": whole.count(text) == 1, "failed": begun == 0, "doubt": True}[outcome], text
        assert "sent" in told.values()


def _harm(emulator: Emulator, chance: random.Random) -> None:
    faults = emulator.faults
    chance.choice(
        [
            lambda: faults.send_errors.append(chance.choice((38, 42, 500))),
            lambda: setattr(faults, "no_prompts", 1),
            lambda: setattr(faults, "lost_oks", 1),
            lambda: (
                setattr(faults, "late_oks", 1),
                setattr(faults, "late_ok_s", chance.choice((0.1, 0.25))),
            ),
            lambda: faults.inside_replies.append("^RSSI:18"),
            emulator.noise,
            lambda: emulator.set_reports(
                chance.choice((NEVER, Reports(delay_s=0.05), Reports(is_national=True)))
            ),
            lambda: setattr(emulator.modem.profile, "has_echo", True),
            emulator.reset,
            lambda: (emulator.unplug(), emulator.plug()),
            lambda: None,
        ]
    )()


def _heal(emulator: Emulator) -> None:
    faults = emulator.faults
    faults.no_prompts = faults.lost_oks = faults.late_oks = 0
    faults.send_errors.clear()


# ------------------------------------------------------------------------------------------- reports


@pytest.mark.parametrize(
    "plan",
    [
        Reports(delay_s=0.2),
        Reports(centre="+56950000991"),
        Reports(is_national=True),
        Reports(statuses=(0x30, 0x30, 0x00), delay_s=0.02),
    ],
    ids=["late", "other centre", "national number", "pending first"],
)
async def test_reports_of_every_kind_find_their_text(rig: Rig, plan: Reports) -> None:
    rig.emulator.set_reports(plan)
    references = await rig.send("Hola")
    reports = await rig.reports(1)
    assert [(r.reference, r.is_delivered) for r in reports] == [(references[0], True)]
    await eventually(lambda: rig.stored() == 0)


async def test_an_expired_text_is_told_with_its_cause(rig: Rig) -> None:
    rig.emulator.set_reports(EXPIRED)
    await rig.send("Hola")
    [report] = await rig.reports(1)
    assert not report.is_delivered
    assert "venció el plazo" in report.detail


async def test_a_burst_of_reports_and_replies_is_read_to_the_last(rig: Rig) -> None:
    sent = await asyncio.gather(*[rig.send(f"Vecino {n}") for n in range(30)])
    for n in range(30):
        rig.emulator.receive(ROSA, f"1 K{n}")
    reports, inbound = await rig.reports(30), await rig.inbound(30)
    assert {report.reference for report in reports} == {name for names in sent for name in names}
    assert [event.text for event in inbound] == [f"1 K{n}" for n in range(30)]
    await eventually(lambda: rig.stored() == 0)


async def test_a_modem_that_hands_reports_over_directly(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.notify.transports.modem.setup._NOTICES", ("2,1,0,1,0",))
    async with working(emulator) as rig:
        await rig.ready()
        references = await rig.send("Hola")
        assert [r.reference for r in await rig.reports(1)] == list(references)


async def test_texts_handed_over_directly_are_taken(rig: Rig) -> None:
    rig.emulator.modem.profile.new_messages = [2, 2, 0, 1, 0]
    rig.emulator.receive(LUIS, "1 K7")
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


# ------------------------------------------------------------------------------------------- inbound


async def test_a_reply_comes_in_with_sender_and_time(rig: Rig) -> None:
    rig.emulator.receive(LUIS, "Sí, voy. ¿Quién más? 🚨")
    [event] = await rig.inbound(1)
    assert (event.sender, event.text) == (LUIS, "Sí, voy. ¿Quién más? 🚨")
    assert abs((datetime.now(UTC) - event.at).total_seconds()) < 60
    await eventually(lambda: rig.stored() == 0)


@pytest.mark.parametrize("order", [(3, 1, 2), (1, 1, 2, 3, 3), (2, 3, 2, 1)])
async def test_shuffled_and_repeated_parts_give_the_text_once(rig: Rig, order: tuple[int, ...]) -> None:
    text = "Vi a dos personas saltar la reja del colegio. " * 9
    rig.emulator.receive(LUIS, text, order=order)
    rig.emulator.receive(LUIS, "Fin")
    assert [event.text for event in await rig.inbound(2)] == [text, "Fin"]
    await eventually(lambda: rig.stored() == 0)


async def test_a_lost_part_leaves_the_others_in_the_modem_until_their_time_is_over(
    emulator: Emulator,
) -> None:
    text = "Vi a dos personas saltar la reja del colegio. " * 9
    async with working(emulator) as rig:
        await rig.ready()
        emulator.receive(LUIS, text, order=(1, 3))
        await eventually(lambda: rig.stored() == 2)
        emulator.receive(LUIS, "Fin")
        await rig.inbound(1)
        await eventually(lambda: rig.stored() == 2)  # "Fin" leaves once the hub has committed it
    # the next start reads them again
    async with working(emulator, replace(QUICK, parts_s=0.2)) as rig:
        [event] = await rig.inbound(1)
        assert event.text.startswith(text[:153])
        assert "[falta una parte]" in event.text
        await eventually(lambda: rig.stored() == 0)


async def test_what_the_hub_has_not_committed_stays_in_the_modem(emulator: Emulator) -> None:
    emulator.receive(LUIS, "1 K7")
    async with working(emulator, is_read=False) as rig:
        await rig.ready()
        reader = rig.transport.events()
        first = await anext(reader)
        await reader.aclose()
        again = rig.transport.events()
        assert await anext(again) == first
        await again.aclose()
        assert rig.stored() == 1
    async with working(emulator) as rig:
        told = await rig.inbound(1)
        assert told == [first]
        await eventually(lambda: rig.stored() == 0)


async def test_texts_that_wait_in_both_memories_are_found_at_the_start(emulator: Emulator) -> None:
    emulator.receive(LUIS, "Uno")
    emulator.modem.chosen[2] = "ME"
    emulator.receive(LUIS, "Dos")
    async with working(emulator) as rig:
        assert {event.text for event in await rig.inbound(2)} == {"Uno", "Dos"}
        await eventually(lambda: rig.stored() == 0)


async def test_a_lost_notice_is_made_up_for_by_the_sweep(rig: Rig) -> None:
    rig.emulator.modem.profile.new_messages = [0, 1, 0, 2, 0]
    rig.emulator.receive(LUIS, "1 K7")
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


async def test_a_full_memory_is_emptied_and_takes_texts_again(emulator: Emulator) -> None:
    emulator.set_capacity(3)
    for n in range(7):
        emulator.receive(LUIS, f"Texto {n}")
    async with working(emulator) as rig:
        assert sorted(event.text for event in await rig.inbound(7)) == [f"Texto {n}" for n in range(7)]
        await eventually(lambda: rig.stored() == 0)


async def test_what_nobody_can_read_is_deleted_when_room_is_short(emulator: Emulator) -> None:
    emulator.set_capacity(3)
    for _ in range(3):
        emulator.receive_pdu("00040391FFFFFF")
    emulator.receive(LUIS, "1 K7")
    async with working(emulator) as rig:
        assert [event.text for event in await rig.inbound(1)] == ["1 K7"]
        await eventually(lambda: rig.stored() == 0)
        assert len(rig.events) == 1


# ----------------------------------------------------------------------------------------------- SIM


async def test_the_pin_is_given_once(tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("4321\n")
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        async with working(emulator, pin_file=pin_file) as rig:
            await rig.ready()
            assert await rig.send("Hola")
            emulator.reset()
            await eventually(lambda: emulator.modem.commands.count('AT+CPIN="4321"') == 2, 10)
            await rig.ready()


async def test_a_wrong_pin_is_tried_once_and_a_corrected_file_is_read(tmp_path: Path) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("9999")
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        async with working(emulator, pin_file=pin_file) as rig:
            await eventually(lambda: rig.transport.state.problem is PIN_WRONG)
            seen = len(emulator.modem.commands)
            await eventually(lambda: emulator.modem.commands[seen:].count("AT+CPIN?") >= 3, 10)
            assert emulator.modem.sim.attempts == 2
            error = await rig.refused()
            assert PIN_WRONG.cause in str(error)
            pin_file.write_text("4321")
            await rig.ready()


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, PIN_UNREADABLE), ("", PIN_MALFORMED), ("abcd", PIN_MALFORMED)],
)
async def test_a_pin_file_that_is_none(tmp_path: Path, content: str | None, problem: object) -> None:
    pin_file = tmp_path / "pin"
    if content is not None:
        pin_file.write_text(content)
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        async with working(emulator, pin_file=pin_file) as rig:
            await eventually(lambda: rig.transport.state.problem is problem)
            assert emulator.modem.sim.attempts == 3


async def test_a_sim_that_wants_a_pin_or_a_puk(tmp_path: Path) -> None:
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        async with working(emulator) as rig:
            await eventually(lambda: rig.transport.state.problem is PIN_NEEDED)
            health = await rig.transport.health()
            assert not health.is_ok
            assert "pin_file" in health.detail
            emulator.modem.sim.attempts = 0
            await eventually(lambda: rig.transport.state.problem is PUK_NEEDED)


async def test_the_last_attempt_of_a_pin_is_not_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin_file = tmp_path / "pin"
    pin_file.write_text("9999")
    monkeypatch.setattr("hub.notify.transports.modem.setup._attempts", lambda _: 1)
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        async with working(emulator, pin_file=pin_file) as rig:
            await eventually(lambda: rig.transport.state.problem is PIN_RISKY)
            assert emulator.modem.sim.attempts == 3


async def test_the_service_centre_of_the_settings_goes_to_the_sim(emulator: Emulator) -> None:
    emulator.modem.sim.centre = ""
    async with working(emulator) as rig:
        await eventually(lambda: rig.transport.state.problem is NO_SMSC)
    async with working(emulator, smsc="+56950000990") as rig:
        await rig.ready()
        assert emulator.modem.sim.centre == "+56950000990"


@pytest.mark.parametrize("style", ["plain", "ucs2", "packed"])
async def test_the_balance_is_asked_for(emulator: Emulator, style: str) -> None:
    emulator.modem.ussd_style = style
    async with working(emulator, balance_code="*111#") as rig:
        await eventually(lambda: rig.transport.state.balance == "Su saldo es $1.234")
        health = await rig.transport.health()
        assert (health.credit, health.signal_dbm, health.queue) == (1234.0, -71, 0)


# ---------------------------------------------------------------------------------------- the network


@pytest.mark.parametrize("stat", [0, 2, 3])
async def test_without_network_a_text_is_refused_at_once_and_leaves_when_it_is_back(
    rig: Rig, stat: int
) -> None:
    rig.emulator.set_registration(stat)
    await eventually(lambda: not rig.transport.state.is_ok)
    error = await rig.refused()
    assert (error.permanent, error.maybe_sent) == (False, False)
    health = await rig.transport.health()
    assert not health.is_ok
    assert health.detail
    rig.emulator.set_registration(1)
    assert await rig.send("Hola")


@pytest.mark.parametrize(("rssi", "dbm"), [(0, -113), (99, None)])
async def test_without_signal_the_network_refuses(rig: Rig, rssi: int, dbm: int | None) -> None:
    rig.emulator.set_signal(rssi)
    await eventually(lambda: rig.transport.state.signal_dbm == dbm)
    error = await rig.refused()
    assert not error.permanent
    rig.emulator.set_signal(21)
    assert await rig.send("Hola")


async def test_a_modem_that_finds_no_network_for_long_is_restarted(emulator: Emulator) -> None:
    async with working(emulator, replace(QUICK, unregistered_s=0.5)) as rig:
        await rig.ready()
        emulator.set_registration(2)
        await eventually(lambda: emulator.modem.resets >= 1, 10)
        emulator.set_registration(1)
        await rig.ready()
        assert rig.transport.state.resets >= 1


# ------------------------------------------------------------------------------------------ the modem


async def test_pulled_out_in_the_middle_of_a_text_and_put_back(rig: Rig) -> None:
    rig.emulator.modem.message_s = 5.0
    sending = asyncio.create_task(rig.refused())
    await eventually(lambda: any("CMGS" in command for command in rig.emulator.modem.commands))
    await eventually(lambda: rig.emulator.modem._is_busy)
    rig.emulator.unplug()
    error = await sending
    assert (error.permanent, error.maybe_sent) == (False, True)
    await eventually(lambda: rig.transport.state.problem is PORT_MISSING)
    assert not (await rig.refused()).maybe_sent
    rig.emulator.modem.message_s = 0.0
    rig.emulator.plug()
    await rig.ready()
    await rig.send("Hola")
    assert rig.emulator.texts()[-1] == (ROSA, "Hola")


async def test_pulled_out_while_idle_keeps_what_came_meanwhile(rig: Rig) -> None:
    rig.emulator.unplug()
    await eventually(lambda: not rig.transport.state.is_ready)
    rig.emulator.receive(LUIS, "1 K7")
    rig.emulator.plug()
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


async def test_a_hang_that_reopening_ends(rig: Rig) -> None:
    rig.emulator.hang("reopen")
    await eventually(lambda: rig.transport.state.restarts == 1, 10)
    await rig.ready()
    assert rig.emulator.modem.resets == 0
    assert await rig.send("Hola")


async def test_a_hang_that_only_a_reset_ends(rig: Rig) -> None:
    rig.emulator.hang("reset")
    await eventually(lambda: rig.emulator.modem.resets == 1, 15)
    await rig.ready()
    assert await rig.send("Hola")


async def test_a_dead_modem_is_told_and_comes_back_when_somebody_cuts_its_power(rig: Rig) -> None:
    rig.emulator.hang("never")
    await eventually(lambda: rig.transport.state.is_dead, 20)
    health = await rig.transport.health()
    assert not health.is_ok
    assert NO_ANSWER.remedy in health.detail
    assert not (await rig.refused()).maybe_sent
    rig.emulator.reset()
    await rig.ready()
    assert not rig.transport.state.is_dead
    assert await rig.send("Hola")


async def test_a_power_cut_sets_the_modem_up_again(rig: Rig) -> None:
    rig.emulator.reset()
    await eventually(lambda: rig.emulator.modem.commands.count("ATE0") == 2, 10)
    await rig.ready()
    rig.emulator.receive(LUIS, "1 K7")
    assert await rig.send("Hola")
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


async def test_a_power_cut_in_the_middle_of_a_text(rig: Rig) -> None:
    rig.emulator.modem.message_s = 0.3
    sending = asyncio.create_task(rig.refused())
    await eventually(lambda: rig.emulator.modem._is_busy)
    rig.emulator.reset()
    assert (await sending).maybe_sent
    await rig.ready()


async def test_a_restart_that_nobody_noticed_is_made_good_by_the_next_sweep(rig: Rig) -> None:
    rig.emulator.modem.profile = type(rig.emulator.modem.profile)()
    await eventually(lambda: rig.emulator.modem.profile.new_messages == [2, 1, 0, 2, 0])
    rig.emulator.receive(LUIS, "1 K7")
    assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


@pytest.mark.parametrize("command", ["+CPMS", "+CNMI", "+CSMS", "+CSCS", "+CMEE", "+CREG", "+COPS", "+CSQ"])
async def test_a_modem_that_lacks_a_command(emulator: Emulator, command: str) -> None:
    emulator.faults.deaf_commands.add(command)
    async with working(emulator) as rig:
        await rig.ready()
        assert await rig.send("Hola")
        emulator.receive(LUIS, "1 K7")
        assert [event.text for event in await rig.inbound(1)] == ["1 K7"]


async def test_a_port_that_is_not_there_or_taken(tmp_path: Path, emulator: Emulator) -> None:
    taken = Link(emulator.port, QUICK)
    try:
        async with working(emulator) as rig:
            await eventually(lambda: rig.transport.state.problem is PORT_BUSY)
            taken.close()
            await rig.ready()
    finally:
        taken.close()


async def test_the_loop_is_never_held_up_by_a_hanging_modem(rig: Rig) -> None:
    rig.emulator.hang("never")
    sending = asyncio.create_task(rig.refused())
    loop, longest, last = asyncio.get_running_loop(), 0.0, asyncio.get_running_loop().time()
    while not sending.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert longest < 0.25
    assert not (await sending).permanent


async def test_every_change_of_state_is_heard_and_holds_no_number(emulator: Emulator) -> None:
    heard: list[ModemState] = []
    settings = ModemSettings(name="m1", port=emulator.port)
    transport = ModemTransport(settings, SystemClock(), on_state=heard.append, timing=QUICK)
    running = asyncio.create_task(transport.run_loop())
    await eventually(lambda: transport.state.is_ok)
    await transport.send(outgoing("Hola"))
    await eventually(lambda: heard[-1].sent_parts == 1)
    running.cancel()
    await asyncio.wait([running])
    assert not any("87654321" in repr(state) for state in heard)


# ------------------------------------------------------------------------------- figures and settings


async def test_figures_are_told_under_the_modems_name(emulator: Emulator) -> None:
    metrics = Metrics()
    settings = ModemSettings(name="m1", port=emulator.port, balance_code="*111#")
    transport = ModemTransport(
        settings, SystemClock(), on_state=lambda state: publish(metrics, state), timing=QUICK
    )
    running = asyncio.create_task(transport.run_loop())
    await eventually(lambda: transport.state.balance)
    await transport.send(outgoing(LONG))
    await eventually(lambda: transport.state.sent_parts == 3)
    shown = metrics.exposition().decode()
    for line in (
        'almenara_modem_dead{modem="m1"} 0.0',
        'almenara_modem_registered{modem="m1"} 1.0',
        'almenara_modem_parts_sent{modem="m1"} 3.0',
    ):
        assert line in shown
    assert "87654321" not in shown
    emulator.hang("never")
    await eventually(lambda: transport.state.is_dead, 20)
    shown = metrics.exposition().decode()
    assert 'almenara_modem_dead{modem="m1"} 1.0' in shown
    assert 'almenara_modem_registered{modem="m1"} 0.0' in shown
    running.cancel()
    await asyncio.wait([running])


def test_modems_are_transports_in_the_settings(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text("4321")
    config = tmp_path / "hub.toml"
    config.write_text(
        f'[[transports]]\nkind = "modem"\nname = "modem1"\nport = "/dev/modem1"\npin_file = "{pin}"\n'
        'balance_code = "*103#"\n[[transports]]\nkind = "modem"\nname = "modem2"\nport = "/dev/x"\n'
    )
    first, second = load(transports=tomllib.loads(config.read_text())["transports"]).transports
    assert isinstance(first, ModemSpec)
    assert isinstance(second, ModemSpec)
    assert (first.name, first.pin_file, first.per_hour) == ("modem1", pin, 200)
    assert second.pin_file is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"balance_code": "saldo"}, "*103#"),
        ({"smsc": "950"}, "+56"),
        ({"pin_file": "/nada"}, "no existe el archivo"),
    ],
)
def test_a_wrong_modem_setting_is_named(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        load(transports=[{"kind": "modem", "name": "m1", "port": "/dev/x", **wrong}])
