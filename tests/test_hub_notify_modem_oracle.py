"""The encoding of SMS against libgammu, which shares no line with it: both ways, over generated texts.

``ALMENARA_ORACLE_TEXTS=100000`` makes more of them than the 20,000 of an ordinary run.
"""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import gammu
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hub.notify.transports.modem import alphabet, pdu
from hub.notify.transports.modem.pdu import Concat, Deliver, StatusReport, Submit
from hub.notify.transports.modem.segments import Coding, Segment, split

TEXTS = int(os.environ.get("ALMENARA_ORACLE_TEXTS", "20000"))
SEED = 20261126
MAX_PARTS = 20
"""libgammu joins no more."""

CENTRE = "+56950000990"
CODINGS = {Coding.GSM7: "Default_No_Compression", Coding.UCS2: "Unicode_No_Compression"}

_WORDS = """alerta pánico intrusión señal niño Ñuñoa pingüino ¿quién va? ¡auxilio! Los Boldos 12 #K7 €1.500
{código} [sí] ~ ^ | \\ @ camión n° 4 “comillas” – raya 🚨 🚒 👩‍🚒 日本 à vous Ωμέγα""".split()
_POOLS = (
    [*alphabet.COSTS],
    [*"abc ñé€{}"],
    [*"áéíóú ab"],
    [*"ab🚨€"],
    [*alphabet.COSTS, *"áÍ“–’º🚨👩\u200d🚒中"],
    [f"{word} " for word in _WORDS],
    [*"hola como estas"],
)
_LENGTHS = ((1, 30), (60, 75), (130, 170), (300, 325), (455, 465), (1, 1200))
"""Around the limits, where a part more or less is decided."""


def texts(count: int, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while count:
        length = chance.randint(*chance.choice(_LENGTHS))
        pool = chance.choice(_POOLS)
        text = "".join(chance.choices(pool, k=length))[:length]
        if is_fair(text):
            count -= 1
            yield text


def is_fair(text: str) -> bool:
    """What the oracle can judge: see the tests of where it is wrong."""
    parts = split(text)
    has_tilde = parts[0].coding is Coding.UCS2 and "~" in text
    return len(parts) <= MAX_PARTS and not has_tilde and "¹" not in text


def oracle_parts(text: str) -> list[dict[str, Any]]:
    info = {"Class": -1, "Unicode": False, "Entries": [{"ID": "ConcatenatedAutoTextLong", "Buffer": text}]}
    parts: list[dict[str, Any]] = gammu.EncodeSMS(info)
    return parts


def oracle_reads(hexed: str) -> dict[str, Any]:
    read: dict[str, Any] = gammu.DecodePDU(bytes.fromhex(hexed), True)
    return read


def test_generated_texts_agree_with_the_oracle() -> None:
    chance = random.Random(SEED)
    codings, part_count = set(), 0
    for text in texts(TEXTS, SEED):
        ours, theirs = split(text), oracle_parts(text)
        assert [part.text for part in ours] == [part["Text"] for part in theirs], text
        assert {part["Coding"] for part in theirs} == {CODINGS[ours[0].coding]}, text
        number = f"+569{chance.randint(20000000, 99999999)}"
        for part, their_part in zip(ours, theirs, strict=True):
            submits_agree(part, their_part, number, chance.randint(0, 255))
            delivers_agree(part, their_part, number, moment(chance))
        codings.add(ours[0].coding)
        part_count += len(ours)
    assert codings == {Coding.GSM7, Coding.UCS2}
    assert part_count > 2 * TEXTS


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "M"]), min_size=1, max_size=400),
    st.integers(0, 255),
)
def test_any_text_agrees_with_the_oracle(text: str, reference: int) -> None:
    """Without combining marks, which libgammu keeps with their letter: joined again, it is all the same."""
    assume(is_fair(text))
    ours, theirs = split(text), oracle_parts(text)
    assert [part.text for part in ours] == [part["Text"] for part in theirs]
    assert {part["Coding"] for part in theirs} == {CODINGS[ours[0].coding]}
    for part, their_part in zip(ours, theirs, strict=True):
        submits_agree(part, their_part, "+56987654321", reference)


def submits_agree(part: Segment, their_part: dict[str, Any], number: str, reference: int) -> None:
    """Ours read by them, and theirs read by us."""
    hexed, length = pdu.submit(number, part, reference=reference, wants_report=True, validity_s=3600)
    assert length == len(hexed) // 2 - 1
    read = oracle_reads(hexed)
    assert (read["Type"], read["Number"], oracle_text(read, part)) == ("Submit", number, part.text)
    assert read["SMSC"]["Validity"] == "60M"
    assert oracle_concat(read) == (Concat(reference, part.number, part.total) if part.total > 1 else None)
    theirs = gammu.EncodePDU({**their_part, "Number": number, "SMSC": {"Number": CENTRE}}, "Submit")
    submit = pdu.parse(theirs.hex())
    assert isinstance(submit, Submit)
    assert (submit.recipient, submit.centre, submit.coding) == (number, CENTRE, part.coding)
    assert (submit.text, submit.concat) == (part.text, oracle_concat(their_part))


def delivers_agree(part: Segment, their_part: dict[str, Any], number: str, at: datetime) -> None:
    read = oracle_reads(pdu.deliver(number, part, at=at, reference=7, centre=CENTRE)[0])
    assert (read["Type"], read["Number"], oracle_text(read, part)) == ("Deliver", number, part.text)
    assert read["DateTime"] == at
    assert read["SMSC"]["Number"] == CENTRE
    theirs = gammu.EncodePDU(
        {**their_part, "Number": number, "DateTime": at, "SMSC": {"Number": CENTRE}}, "Deliver"
    )
    deliver = pdu.parse(as_deliver(theirs))
    assert isinstance(deliver, Deliver)
    assert (deliver.sender, deliver.text, deliver.coding) == (number, part.text, part.coding)
    # python-gammu drops the zone
    assert deliver.at == at.replace(tzinfo=UTC)
    assert deliver.concat == oracle_concat(their_part)


def as_deliver(encoded: bytes) -> str:
    """libgammu marks its DELIVER as a SUBMIT."""
    first = 1 + encoded[0]
    assert encoded[first] & 0x03 == 1
    return (encoded[:first] + bytes([encoded[first] & ~0x03]) + encoded[first + 1 :]).hex()


def oracle_text(read: dict[str, Any], part: Segment) -> str:
    """python-gammu counts an escaped character twice and shows what lies behind the text in memory."""
    text: str = read["Text"]
    if part.coding is Coding.UCS2:
        return text
    assert read["Length"] == alphabet.septet_count(part.text)
    return text[: len(part.text)]


def oracle_concat(read: dict[str, Any]) -> Concat | None:
    header = read["UDH"]
    if header["Type"] == "NoUDH":
        return None
    return Concat(header["ID8bit"], header["PartNumber"], header["AllParts"])


def moment(chance: random.Random) -> datetime:
    """Any second of a century, in any zone by quarters of an hour."""
    zone = timezone(timedelta(minutes=15 * chance.randint(-48, 56)))
    at = datetime(2000, 1, 2, tzinfo=UTC) + timedelta(seconds=chance.randrange(89 * 365 * 86_400))
    return at.astimezone(zone)


def test_oracle_is_wrong_about_tildes() -> None:
    """Why they are left out of UCS-2: 68 characters where 67 fit, and ~ read as ~~ (libgammu 1.45.1)."""
    text = "~~" + "á" * 100
    assert [len(part["Text"]) for part in oracle_parts(text)] == [68, 34]
    assert [len(part.text) for part in split(text)] == [67, 35]
    hexed, _ = pdu.submit("+56987654321", split("~á")[0], reference=1, wants_report=False, validity_s=None)
    assert hexed.endswith("007E00E1")
    assert oracle_reads(hexed)["Text"] == "~~"


def test_oracle_is_wrong_about_a_raised_one() -> None:
    """The one character of the basic plane that libgammu takes for a GSM one, and loses."""
    (theirs,) = oracle_parts("¹")
    assert theirs["Coding"] == CODINGS[Coding.GSM7]
    submit = pdu.parse(gammu.EncodePDU({**theirs, "Number": "1", "SMSC": {"Number": CENTRE}}).hex())
    assert isinstance(submit, Submit)
    assert submit.text == " "
    assert split("¹")[0].coding is Coding.UCS2


# ------------------------------------------------------------------------------ delivery reports

# TP-Status of 3GPP TS 23.040, section 9.2.3.15, and libgammu's word for it
_STATUSES = {
    0x00: "Delivered",
    0x01: "Delivered",
    0x02: "Delivered",
    0x20: "Pending",
    0x30: "Pending",
    0x40: "Failed",
    0x46: "Failed",
    0x65: "Failed",
}


@pytest.mark.parametrize("status", _STATUSES)
def test_delivery_reports_agree(status: int) -> None:
    chance = random.Random(status)
    for _ in range(200):
        reference, sent_at = chance.randint(0, 255), moment(chance)
        done_at = sent_at + timedelta(seconds=chance.randrange(86_400))
        number = f"+569{chance.randint(20000000, 99999999)}"
        hexed, _ = pdu.status_report(
            reference, number, sent_at=sent_at, done_at=done_at, status=status, centre=CENTRE
        )
        read = oracle_reads(hexed)
        assert (read["Type"], read["MessageReference"]) == ("Status_Report", reference)
        assert (read["Number"], read["DeliveryStatus"]) == (number, status)
        assert (read["DateTime"], read["SMSCDateTime"]) == (sent_at, done_at)
        assert read["Text"] == _STATUSES[status]
        assert pdu.parse(hexed) == StatusReport(reference, number, sent_at, done_at, status, CENTRE)


# ---------------------------------------------------------------------------------- addresses, validity


@pytest.mark.parametrize("sender", ["ENTEL", "Almenara", "Muni Talca", "A", "12345678901", "133"])
def test_senders_agree(sender: str) -> None:
    hexed, _ = pdu.deliver(sender, split("Hola")[0], at=datetime(2026, 11, 26, tzinfo=UTC), centre=CENTRE)
    assert oracle_reads(hexed)["Number"] == sender
    parsed = pdu.parse(hexed)
    assert isinstance(parsed, Deliver)
    assert parsed.sender == sender


@pytest.mark.parametrize(
    ("validity_s", "theirs"),
    [(300, "5M"), (3600, "60M"), (43_200, "720M"), (86_400, "1440M"), (259_200, "3D"), (3_024_000, "5W")],
)
def test_validity_agrees(validity_s: float, theirs: str) -> None:
    hexed, _ = pdu.submit(
        "+56987654321", split("x")[0], reference=1, wants_report=False, validity_s=validity_s
    )
    assert oracle_reads(hexed)["SMSC"]["Validity"] == theirs
