"""The encoding of SMS: hand-made vectors, properties over any text, and parts that come as they like."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.notify.transports.modem import alphabet, pdu
from hub.notify.transports.modem.alphabet import economic
from hub.notify.transports.modem.assemble import MAX_OPEN, MISSING, Assembler, Message
from hub.notify.transports.modem.pdu import Concat, Deliver, PduError, StatusReport, Submit
from hub.notify.transports.modem.segments import ROOM, Coding, Segment, SegmentError, cost_of, count, split

NEIGHBOUR = "+56987654321"
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "sms_pdus.json").read_text("utf-8")
)

gsm_texts = st.text(st.sampled_from([*alphabet.COSTS]), max_size=700)
any_texts = st.one_of(
    gsm_texts,
    st.text(st.sampled_from([*"áíóúñ €{🚨中b"]), max_size=500),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
zones = st.integers(-48, 56).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
moments = st.builds(
    lambda at, zone: at.replace(microsecond=0, tzinfo=zone),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001 - the zone comes after
    zones,
)
numbers = st.from_regex(r"\A\+?[0-9]{1,20}\Z", fullmatch=True)


# -------------------------------------------------------------------------------------- alphabet


def test_alphabet_costs_what_the_standard_says() -> None:
    assert [char for char in "éñüÉÑÜ¡¿àèìòùÇ@£$¥§" if alphabet.COSTS.get(char) != 1] == []
    assert [char for char in "€{}[]~^|\\\f" if alphabet.COSTS.get(char) != 2] == []
    assert [char for char in "áíóúÁÍÓÚçºª°“”–’\xa0\t`" if char in alphabet.COSTS] == []
    assert len(alphabet.COSTS) == 127 + 10


@given(st.binary(max_size=170), st.integers(0, 6))
@example(b"\x7f" * 160, 1)
def test_septets_survive_packing(octets: bytes, fill_bits: int) -> None:
    septets = bytes([octet & 0x7F for octet in octets])
    packed = alphabet.pack(septets, fill_bits)
    assert len(packed) == (0 if not septets else (7 * len(septets) + fill_bits + 7) // 8)
    assert alphabet.unpack(packed, len(septets), fill_bits) == septets


@given(gsm_texts)
def test_text_survives_the_alphabet(text: str) -> None:
    assert alphabet.decode(alphabet.encode(text)) == text
    assert len(alphabet.encode(text)) == alphabet.septet_count(text)


def test_known_packing() -> None:
    assert alphabet.pack(alphabet.encode("hellohello")).hex().upper() == "E8329BFD4697D9EC37"


def test_unknown_escapes_read_as_the_basic_letter() -> None:
    assert alphabet.decode(bytes([0x1B, 0x61])) == "a"
    assert alphabet.decode(bytes([0x1B, 0x1B, 0x41])) == " A"
    assert alphabet.decode(bytes([0x41, 0x1B])) == "A\x1b"


# ------------------------------------------------------------------------------- texto económico


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("Intrusión en Los Álamos", "Intrusion en Los Alamos"),
        ("Ñandú, pingüino, ¿quién? ¡Auxilio! É Ü", "Ñandu, pingüino, ¿quién? ¡Auxilio! É Ü"),
        ("“Señal” – nº 5 ª 3° …", '"Señal" - no 5 a 3o ...'),
        ("O’Higgins\xa0120\tcasa `B`", "O'Higgins 120 casa 'B'"),
        ("n\u0303andu\u0301", "ñandu"),
        ("½ m² ﬁn • œ", "1/2 m2 fin - oe"),
        ("nulo\x00 y \u200bancho cero", "nulo y ancho cero"),
        ("Fuego 🔥", "Fuego 🔥"),
        ("€ {x}", "€ {x}"),
        ("", ""),
    ],
)
def test_economic_text(written: str, sent: str) -> None:
    assert economic(written) == sent


@given(any_texts)
def test_economic_text_is_settled_and_never_dearer(text: str) -> None:
    cheap = economic(text)
    assert economic(cheap) == cheap
    if alphabet.is_gsm(text):
        assert cheap == text


@given(st.text(st.sampled_from([*"abcñéüáíóúÁÍÓÚ“”–’º¿¡ ª°\xa0\t.,"]), min_size=1, max_size=160))
def test_spanish_is_always_cheap(text: str) -> None:
    assert split(economic(text))[0].coding is Coding.GSM7
    assert count(economic(text)) <= count(text)


# ----------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("text", "coding", "parts"),
    [
        ("", Coding.GSM7, 1),
        ("a" * 160, Coding.GSM7, 1),
        ("a" * 161, Coding.GSM7, 2),
        ("a" * 306, Coding.GSM7, 2),
        ("a" * 307, Coding.GSM7, 3),
        ("€" * 80, Coding.GSM7, 1),
        ("€" * 81, Coding.GSM7, 2),
        ("€" * 152, Coding.GSM7, 2),
        ("€" * 153, Coding.GSM7, 3),
        ("á" * 70, Coding.UCS2, 1),
        ("á" * 71, Coding.UCS2, 2),
        ("a" * 159 + "ó", Coding.UCS2, 3),
        ("🚨" * 35, Coding.UCS2, 1),
        ("🚨" * 36, Coding.UCS2, 2),
        ("🚨" * 67, Coding.UCS2, 3),
    ],
)
def test_how_many_parts(text: str, coding: Coding, parts: int) -> None:
    assert count(text) == parts
    assert split(text)[0].coding is coding


@given(any_texts, st.booleans())
@example("a" * 152 + "€" + "b" * 20, False)
@example("á" * 66 + "🚨" + "b" * 20, False)
def test_parts_are_whole_full_and_numbered(text: str, is_wide: bool) -> None:
    parts = split(text, is_wide=is_wide)
    assert "".join([part.text for part in parts]) == text
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert {part.total for part in parts} == {len(parts)}
    (coding,) = {part.coding for part in parts}
    room = ROOM[coding]
    limit = room.single if len(parts) == 1 else room.wide if is_wide else room.part
    costs = [sum(cost_of(char, coding) for char in part.text) for part in parts]
    assert max(costs) <= limit
    for (part, following), used in zip(pairwise(parts), costs[:-1], strict=True):
        assert used + cost_of(following.text[0], coding) > limit, part


def test_too_long_a_text_is_refused_in_words() -> None:
    assert count("a" * 153 * 255) == 255
    with pytest.raises(SegmentError, match="ocupa 256 mensajes y el máximo es 255; acórtelo"):
        split("a" * (153 * 255 + 1))


def test_half_a_surrogate_does_not_stop_a_text() -> None:
    assert split("alerta \ud83d") == [Segment(Coding.UCS2, "alerta \ufffd")]
    assert split("\ud83d\udea8") == [Segment(Coding.UCS2, "🚨")]


# ------------------------------------------------------------------------------------------ PDUs


def shown(parsed: pdu.Parsed) -> dict[str, Any]:
    """In the vectors' words."""
    values: dict[str, Any] = {"kind": type(parsed).__name__}
    for name in type(parsed).__slots__:
        value = getattr(parsed, name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Coding):
            value = value.value
        elif isinstance(value, bytes):
            value = value.hex()
        elif isinstance(value, Concat):
            value = [value.reference, value.number, value.total]
        values[name] = value
    return values


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["about"] for vector in VECTORS])
def test_vectors(vector: dict[str, Any]) -> None:
    expected = vector["is"]
    read = shown(pdu.parse(vector["pdu"].replace(" ", "")))
    assert {name: read[name] for name in expected} == expected


@given(any_texts, st.integers(0, 0xFFFF), st.booleans(), numbers)
def test_submit_survives(text: str, reference: int, wants_report: bool, to: str) -> None:
    for part in split(text, is_wide=reference > 0xFF):
        hexed, length = pdu.submit(
            to, part, reference=reference, wants_report=wants_report, validity_s=86_400
        )
        concat = Concat(reference, part.number, part.total) if part.total > 1 else None
        assert length == len(hexed) // 2 - 1
        assert pdu.parse(hexed) == Submit(
            to, part.text, concat, part.coding, wants_report=wants_report, validity_s=86_400
        )


@given(any_texts, moments, st.one_of(numbers, st.from_regex(r"\A[A-Za-zñé ]{1,11}\Z", fullmatch=True)))
def test_deliver_survives(text: str, at: datetime, sender: str) -> None:
    for part in split(text):
        hexed, length = pdu.deliver(sender, part, at=at, reference=200, centre="+56950000990")
        concat = Concat(200, part.number, part.total) if part.total > 1 else None
        assert length == len(hexed) // 2 - 8
        read = pdu.parse(hexed)
        assert read == Deliver(sender, at, part.text, concat, part.coding, centre="+56950000990")
        assert isinstance(read, Deliver)
        assert read.at is not None
        assert read.at.utcoffset() == at.utcoffset()


@given(moments, moments, st.integers(0, 255), st.integers(0, 255), numbers)
def test_status_report_survives(
    sent_at: datetime, done_at: datetime, reference: int, status: int, recipient: str
) -> None:
    hexed, _ = pdu.status_report(reference, recipient, sent_at=sent_at, done_at=done_at, status=status)
    assert pdu.parse(hexed) == StatusReport(reference, recipient, sent_at, done_at, status)


@pytest.mark.parametrize(
    ("status", "is_delivered", "is_final"),
    [
        (0x00, True, True),
        (0x01, False, False),
        (0x02, False, True),
        (0x30, False, False),
        (0x46, False, True),
        (0x65, False, True),
        (0xFF, False, True),
    ],
)
def test_only_the_phones_own_word_is_delivery(status: int, is_delivered: bool, is_final: bool) -> None:
    report = StatusReport(1, NEIGHBOUR, NOON, NOON, status)
    assert (report.is_delivered, report.is_final) == (is_delivered, is_final)


@given(st.floats(1, 63 * 604_800))
def test_validity_is_never_shorter_than_asked(validity_s: float) -> None:
    hexed, _ = pdu.submit(NEIGHBOUR, split("x")[0], reference=0, wants_report=False, validity_s=validity_s)
    read = pdu.parse(hexed)
    assert isinstance(read, Submit)
    assert read.validity_s is not None
    assert validity_s <= read.validity_s <= max(300, validity_s + 604_800)


def test_what_is_no_number_is_not_sent_to() -> None:
    for to in ("", "ENTEL", "+", "+56 9 8765", "1" * 21):
        with pytest.raises(PduError):
            pdu.submit(to, split("x")[0], reference=0, wants_report=False, validity_s=None)


def test_a_part_too_long_for_its_header_is_not_sent() -> None:
    part = split("a" * 200)[0]
    with pytest.raises(PduError, match="141 octets"):
        pdu.submit(NEIGHBOUR, part, reference=300, wants_report=False, validity_s=None)


# --------------------------------------------------------------------------------------- bad octets

GOOD = [vector["pdu"].replace(" ", "") for vector in VECTORS]


@pytest.mark.parametrize("good", GOOD)
def test_every_cut_is_named(good: str) -> None:
    for octets in range(len(good) // 2):
        with pytest.raises(PduError) as caught:
            pdu.parse(good[: octets * 2])
        assert caught.value.octet is not None
        assert caught.value.octet <= octets


def fault(octets: bytes) -> PduError | None:
    """What the reader says; anything but a PduError fails the test."""
    try:
        pdu.parse(octets.hex())
    except PduError as error:
        return error
    return None


@given(st.binary(max_size=200))
def test_no_octets_break_the_reader(octets: bytes) -> None:
    error = fault(octets)
    assert error is None or error.octet in range(len(octets) + 1)


@given(st.sampled_from(GOOD), st.data())
def test_no_change_of_a_good_one_breaks_the_reader(good: str, data: st.DataObject) -> None:
    octets = bytearray.fromhex(good)
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    error = fault(bytes(octets))
    assert error is None or error.octet in range(len(octets) + 1)


@pytest.mark.parametrize(
    ("bad", "octet"), [("", 0), ("00G4", 1), ("0", 0), ("0003", 1), ("00440B916589674523F1000062", 13)]
)
def test_the_octet_is_named(bad: str, octet: int) -> None:
    with pytest.raises(PduError, match=f"octet {octet}: ") as caught:
        pdu.parse(bad)
    assert caught.value.octet == octet


def test_padding_behind_the_message_is_passed_over() -> None:
    assert pdu.parse(GOOD[0] + "FFFF") == pdu.parse(GOOD[0])


# ---------------------------------------------------------------------------------------- assembly


def parts_of(text: str, reference: int = 7, *, sender: str = NEIGHBOUR, at: datetime = NOON) -> list[Deliver]:
    """As they come out of the air."""
    read = [pdu.parse(pdu.deliver(sender, s, at=at, reference=reference)[0]) for s in split(text)]
    return [part for part in read if isinstance(part, Deliver)]


LONG = "Sí, voy. ¿Llevo la camioneta? 🚨 " * 6


@given(st.data())
def test_parts_in_any_order_and_twice_make_one_message(data: st.DataObject) -> None:
    parts = parts_of(LONG)
    order = data.draw(st.permutations(parts + data.draw(st.lists(st.sampled_from(parts), max_size=4))))
    assembler = Assembler()
    given_out = [message for part in order for message in assembler.add(part, NOON)]
    assert given_out == [Message(NEIGHBOUR, NOON, LONG)]
    assert not any(assembler.is_waiting(part) for part in parts)
    assert assembler.give_up(NOON + timedelta(days=1)) == []


def test_a_single_text_passes_at_once_and_every_time() -> None:
    (part,) = parts_of("OK")
    assembler = Assembler()
    assert assembler.add(part, NOON) == assembler.add(part, NOON) == [Message(NEIGHBOUR, NOON, "OK")]


def test_a_lost_part_is_marked_and_the_rest_given_out() -> None:
    parts = parts_of(LONG)
    assembler = Assembler(patience_s=60)
    assert assembler.add(parts[0], NOON) == assembler.add(parts[2], NOON + timedelta(seconds=50)) == []
    assert assembler.is_waiting(parts[0])
    # the modem's memory is read again and again: what is known already does not prolong the wait
    assert assembler.add(parts[0], NOON + timedelta(seconds=100)) == []
    assert assembler.give_up(NOON + timedelta(seconds=109)) == []
    (message,) = assembler.give_up(NOON + timedelta(seconds=110))
    assert message.text == parts[0].text + MISSING + parts[2].text
    assert message.missing == (2,)
    assert not assembler.is_waiting(parts[0])


def test_a_reference_that_comes_again_is_another_message() -> None:
    first, second = parts_of("a" * 200), parts_of("b" * 200)
    assembler = Assembler()
    assert assembler.add(first[0], NOON) == []
    (torn,) = assembler.add(second[0], NOON)
    assert (torn.text, torn.missing) == (first[0].text + MISSING, (2,))
    (whole,) = assembler.add(second[1], NOON)
    assert whole.text == "b" * 200


def test_the_same_long_text_sent_twice_counts_twice() -> None:
    """Some phones never change their reference; the centre's time tells."""
    assembler = Assembler()
    for at in (NOON, NOON + timedelta(minutes=1)):
        given_out = [m for part in parts_of(LONG, 0, at=at) for m in assembler.add(part, at)]
        assert given_out == [Message(NEIGHBOUR, at, LONG)]


def test_senders_and_references_are_kept_apart() -> None:
    messages = [
        parts_of("a" * 200, 1),
        parts_of("b" * 200, 2),
        parts_of("c" * 200, 1, sender="+56987654322"),
    ]
    assembler = Assembler()
    given_out = [m.text for turn in (0, 1) for parts in messages for m in assembler.add(parts[turn], NOON)]
    assert given_out == ["a" * 200, "b" * 200, "c" * 200]


def test_characters_that_a_foreign_sender_cut_in_two_are_joined() -> None:
    euro = alphabet.encode("€")
    cut = [
        Deliver(NEIGHBOUR, NOON, alphabet.decode(euro[:1]), Concat(1, 1, 2)),
        Deliver(NEIGHBOUR, NOON, alphabet.decode(euro[1:] + b"5"), Concat(1, 2, 2)),
        Deliver(NEIGHBOUR, NOON, "¡\ud83d", Concat(2, 1, 2), Coding.UCS2),
        Deliver(NEIGHBOUR, NOON, "\udea8!", Concat(2, 2, 2), Coding.UCS2),
    ]
    assembler = Assembler()
    assert [m.text for part in cut for m in assembler.add(part, NOON)] == ["€5", "¡🚨!"]


def test_a_flood_of_first_parts_is_bounded_and_loses_nothing() -> None:
    assembler = Assembler()
    floods = [parts_of("a" * 200, n % 256, sender=f"+5698{n:07}")[0] for n in range(MAX_OPEN + 5)]
    given_out = [message for part in floods for message in assembler.add(part, NOON)]
    assert [message.sender for message in given_out] == [part.sender for part in floods[:5]]
    assert len(assembler.give_up(NOON + timedelta(days=1))) == MAX_OPEN
