"""The SMPP transport against an SMSC that others wrote (npm ``smpp``)."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from fakes import eventually
from fakes import outgoing as message
from hypothesis import given
from hypothesis import strategies as st
from smsc import Smsc, bound, is_ok

from hub.notify.transports import (
    DeliveryReport,
    Inbound,
    TransportError,
    TransportEvent,
    smpp,
    smpp_pdu,
)
from hub.notify.transports.modem.fields import PduError
from hub.notify.transports.smpp import SmppTransport
from hub.servers.child import free_port

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
PHONE = "+56987650001"


@pytest_asyncio.fixture
async def smsc() -> AsyncIterator[Smsc]:
    center = Smsc(free_port())
    await center.start()
    yield center
    await center.kill()


async def next_event(events: AsyncIterator[TransportEvent]) -> TransportEvent:
    async with asyncio.timeout(5):
        return await anext(events)


async def test_a_text_goes_out_and_its_receipt_comes_back(smsc: Smsc) -> None:
    async with bound(smsc, sender="ALMENARA") as transport:
        references = await transport.send(message())
        [sent] = smsc.submits()
        assert (sent["to"], sent["from"], sent["coding"]) == ("56987650001", "ALMENARA", 0)
        assert sent["text"] == message().text
        assert references == (sent["submit"],)
        report = await next_event(transport.events())
    assert isinstance(report, DeliveryReport)
    assert (report.reference, report.is_delivered) == (references[0], True)


async def test_a_reply_that_is_brought_again_for_want_of_an_answer_keeps_its_name(smsc: Smsc) -> None:
    order = {"from": "56987650001", "text": "1", "coding": 0}
    async with bound(smsc) as transport:
        events = transport.events()
        await smsc.tell(mo=order)
        first = await next_event(events)  # taken, and not answered before the line breaks
        await smsc.tell(drop=True)
        await eventually(lambda: len([line for line in smsc.heard if "bound" in line]) == 2)
        await eventually(lambda: is_ok(transport))
        await smsc.tell(mo=order)
        await smsc.tell(mo=order)
        repeat, another = await next_event(events), await next_event(events)
        assert isinstance(another, Inbound)
        assert repeat == first
        assert another.reference != first.reference
        asked = asyncio.create_task(anext(events))
        await eventually(lambda: len([line for line in smsc.heard if "mo_answered" in line]) == 2)
        asked.cancel()
        await asyncio.wait([asked])


async def test_a_receipt_is_answered_only_after_it_was_taken(smsc: Smsc) -> None:
    async with bound(smsc) as transport:
        events = transport.events()
        await transport.send(message())
        first = await next_event(events)
        await transport.send(message())  # a round trip later nothing was answered yet
        assert not any("receipt_answered" in line for line in smsc.heard)
        second = await next_event(events)
        assert isinstance(first, DeliveryReport)
        assert isinstance(second, DeliveryReport)
        assert first.reference != second.reference
        await eventually(lambda: {"receipt_answered": first.reference} in smsc.heard)


@pytest.mark.parametrize(
    ("multipart", "text", "coding", "lengths"),
    [
        ("udh", "á" + "x" * 70, 8, [67, 4]),
        ("udh", "x" * 152 + "€" + "y" * 10, 0, [152, 11]),
        ("sar", "ñ" * 161, 0, [153, 8]),
    ],
)
async def test_a_long_text_goes_in_parts(
    smsc: Smsc, multipart: str, text: str, coding: int, lengths: list[int]
) -> None:
    await smsc.tell(receipts="none")
    async with bound(smsc, multipart=multipart) as transport:
        references = await transport.send(message(text))
        other = await transport.send(message(text))
    first, second = smsc.submits()[:2], smsc.submits()[2:]
    assert tuple(part["submit"] for part in first) == references
    assert len(set(references + other)) == 4
    assert "".join(part["text"] for part in first) == text
    assert [len(part["text"]) for part in first] == lengths
    assert {part["coding"] for part in first} == {coding}
    if multipart == "sar":
        assert [part["sar"][1:] for part in first] == [[1, 2], [2, 2]]
        assert first[0]["sar"][0] == first[1]["sar"][0] != second[0]["sar"][0]
    else:
        assert [part["udh"][0][-4:] for part in first] == ["0201", "0202"]
        assert first[0]["udh"][0][:6] != second[0]["udh"][0][:6]


async def test_an_undeliverable_text_names_its_cause(smsc: Smsc) -> None:
    await smsc.tell(receipts="undeliverable")
    async with bound(smsc) as transport:
        await transport.send(message())
        report = await next_event(transport.events())
    assert isinstance(report, DeliveryReport)
    # "00A" is no number, and the date has twelve digits: both are seen in the wild
    assert (report.is_delivered, report.detail) == (False, "no se pudo entregar (código A)")


async def test_throttling_is_waited_out(smsc: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp, "BUSY_PAUSE_S", 0.01)
    await smsc.tell(throttle=3, receipts="none")
    async with bound(smsc) as transport:
        assert await transport.send(message()) == ("m1",)
        await smsc.tell(throttle=99)
        with pytest.raises(TransportError, match="demasiados mensajes") as caught:
            await transport.send(message())
    assert not caught.value.permanent
    assert not caught.value.maybe_sent


@pytest.mark.parametrize(("status", "permanent"), [(0x0B, True), (0x08, False), (0x45, False)])
async def test_a_refusal_tells_whether_the_phone_or_the_operator_is_wrong(
    smsc: Smsc, status: int, permanent: bool
) -> None:
    await smsc.tell(refuse=status)
    async with bound(smsc) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(message())
    assert (caught.value.permanent, caught.value.maybe_sent) == (permanent, False)
    assert PHONE not in str(caught.value)


async def test_what_was_under_way_when_the_center_died_may_have_left(smsc: Smsc) -> None:
    await smsc.tell(mute=True)
    async with bound(smsc) as transport:
        sending = asyncio.create_task(transport.send(message()))
        await eventually(lambda: any("muted" in line for line in smsc.heard))
        await smsc.kill()
        with pytest.raises(TransportError) as caught:
            await sending
        assert caught.value.maybe_sent
        assert not (await transport.health()).is_ok
        with pytest.raises(TransportError, match="sin conexión") as refused:
            await transport.send(message())
        assert not refused.value.maybe_sent
        await smsc.start()
        await eventually(lambda: is_ok(transport))
        assert await transport.send(message()) == ("m1",)


async def test_an_answer_that_does_not_come_may_have_left(
    smsc: Smsc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smpp, "ANSWER_S", 0.05)
    await smsc.tell(mute=True)
    async with bound(smsc) as transport:
        with pytest.raises(TransportError, match="no contestó") as caught:
            await transport.send(message())
    assert caught.value.maybe_sent


async def test_a_wrong_password_is_told(smsc: Smsc) -> None:
    transport = SmppTransport(smsc.account(password="otra"))
    task = asyncio.create_task(transport.run_loop())
    await eventually(lambda: has_detail(transport, "clave equivocada"))
    task.cancel()
    await asyncio.wait([task])


async def has_detail(transport: SmppTransport, words: str) -> bool:
    return words in (await transport.health()).detail


async def test_a_reply_comes_in_with_accents(smsc: Smsc) -> None:
    async with bound(smsc) as transport:
        await smsc.tell(mo={"from": "56987650001", "text": "Sí, voy. ¿Quién más? 🚨", "coding": 8})
        reply = await next_event(transport.events())
    assert isinstance(reply, Inbound)
    assert (reply.sender, reply.text) == (PHONE, "Sí, voy. ¿Quién más? 🚨")


async def test_rubbish_from_the_center_does_not_stop_what_follows(smsc: Smsc) -> None:
    async with bound(smsc) as transport:
        events = transport.events()
        await smsc.tell(raw_receipt={"text": "nothing that a receipt would say"})
        await smsc.tell(mo={"from": "56987650001", "text": "1", "coding": 0})
        reply = await next_event(events)
        assert isinstance(reply, Inbound)
        assert reply.text == "1"
        assert await is_ok(transport)


async def test_a_connection_that_breaks_comes_back_by_itself(smsc: Smsc) -> None:
    async with bound(smsc) as transport:
        await smsc.tell(drop=True)
        await eventually(lambda: [line for line in smsc.heard if "bound" in line][1:])
        await eventually(lambda: is_ok(transport))
        assert await transport.send(message())


async def test_ids_that_are_hexadecimal_in_one_place_meet(smsc: Smsc) -> None:
    transport = SmppTransport(smsc.account(ids="hex_answer"))
    assert transport._normal("1F", True) == transport._normal("31", False) == "31"
    assert transport._normal("m1", True) == "m1"


def deliver_pdu(body: bytes, *, esm_class: int = 0, coding: int = 0, options: bytes = b"") -> bytes:
    fields = b"\0" + b"\x01\x01" + b"56987650001\0" + b"\x01\x01" + b"1033\0"
    fields += bytes([esm_class, 0, 0]) + b"\0\0" + bytes([0, 0, coding, 0, len(body)]) + body + options
    return struct.pack("!IIII", 16 + len(fields), 5, 0, 7) + fields


def test_a_part_with_a_wide_reference_is_read() -> None:
    header = bytes([6, 8, 4, 0x12, 0x34, 2, 1])
    found = smpp_pdu.read_deliver(deliver_pdu(header + b"hola", esm_class=0x40), NOW)
    assert not isinstance(found, smpp_pdu.Receipt)
    assert found.concat is not None
    assert (found.concat.reference, found.concat.number, found.concat.total) == (0x1234, 1, 2)
    assert found.text == "hola"


def test_the_optional_parameters_of_a_receipt_count_before_its_words() -> None:
    options = struct.pack("!HH", 0x1E, 3) + b"77\0" + struct.pack("!HHB", 0x427, 1, 2)
    words = deliver_pdu(b"id:1 stat:UNDELIV err:5 text:", esm_class=4, options=options)
    assert smpp_pdu.read_deliver(words, NOW) == smpp_pdu.Receipt("77", True, "")
    waiting = deliver_pdu(b"id:1 stat:ACCEPTD", esm_class=4)
    assert smpp_pdu.read_deliver(waiting, NOW) == smpp_pdu.Receipt("1", None, "")


@given(st.binary(max_size=120))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(PduError):
        smpp_pdu.read_deliver(bytes(16) + body, NOW)
