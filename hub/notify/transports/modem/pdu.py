"""PDUs of the short message service (3GPP TS 23.040, section 9.2.2): reading and writing. Pure.

All start with the service centre's address, as modems give and take them (TS 27.005, ``AT+CMGF=0``).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from hub.notify.transports.modem import alphabet, fields
from hub.notify.transports.modem.fields import Concat, Header, PduError, Reader
from hub.notify.transports.modem.segments import Coding, Segment

__all__ = [
    "Concat",
    "Deliver",
    "Parsed",
    "PduError",
    "StatusReport",
    "Submit",
    "deliver",
    "parse",
    "status_report",
    "submit",
]


@dataclass(frozen=True, slots=True)
class Deliver:
    """A text, or a part of one, that came in.

    ``at`` is the service centre's time, None when that was no time. In a part of several, ``text`` may end
    or begin with half a character (:mod:`assemble` joins them). ``data`` are the octets of what is no text.
    """

    sender: str
    at: datetime | None
    text: str
    concat: Concat | None = None
    coding: Coding = Coding.GSM7
    data: bytes = b""
    centre: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The network's word on a text.

    ``reference`` is what ``+CMGS:`` gave; ``status`` is TP-Status (section 9.2.3.15).
    """

    reference: int
    recipient: str
    sent_at: datetime | None
    done_at: datetime | None
    status: int
    centre: str = ""

    @property
    def is_delivered(self) -> bool:
        """The phone has it."""
        return self.status == 0x00

    @property
    def is_final(self) -> bool:
        """False while the centre still tries, and where it passed the text on without hearing more."""
        return self.status != 0x01 and not 0x20 <= self.status <= 0x3F


@dataclass(frozen=True, slots=True)
class Submit:
    """A text on its way out."""

    recipient: str
    text: str
    concat: Concat | None = None
    coding: Coding = Coding.GSM7
    data: bytes = b""
    wants_report: bool = False
    validity_s: float | None = None
    reference: int = 0
    centre: str = ""


Parsed: TypeAlias = Deliver | StatusReport | Submit

_DELIVER, _SUBMIT, _STATUS_REPORT = 0x00, 0x01, 0x02
_KIND_BITS = 0x03
_NO_MORE_WAITING = 0x04  # in DELIVER and STATUS-REPORT
_VALIDITY_BITS, _VALIDITY_NONE, _VALIDITY_RELATIVE = 0x18, 0x00, 0x10
_REPORT = 0x20
_HAS_HEADER = 0x40
_MAX_OCTETS = 140
_DCS = {Coding.GSM7: 0x00, Coding.DATA: 0x04, Coding.UCS2: 0x08}


# ------------------------------------------------------------------------------------------ writing


def submit(
    to: str, segment: Segment, *, reference: int, wants_report: bool, validity_s: float | None
) -> tuple[str, int]:
    """The PDU in hex, its service centre left to the SIM, and the octets that ``AT+CMGS=`` counts.

    ``reference`` ties the parts of one message together (0-65535; above 255 it needs parts split with
    ``is_wide``). Raises :class:`PduError` for a recipient that is no number and for a part that is too long.
    """
    header, data = _user_data(segment, reference)
    first = _SUBMIT | (_REPORT if wants_report else 0) | (_HAS_HEADER if header else 0)
    validity = b""
    if validity_s is not None:
        first |= _VALIDITY_RELATIVE
        validity = bytes([fields.write_validity(validity_s)])
    address = fields.write_recipient(to)
    return _hex("", bytes([first, 0]) + address + bytes([0, _DCS[segment.coding]]) + validity + data)


def deliver(
    sender: str, segment: Segment, *, at: datetime, reference: int = 0, centre: str = ""
) -> tuple[str, int]:
    """What the network hands to a modem: hex and the octets that ``+CMT:`` counts."""
    header, data = _user_data(segment, reference)
    first = _DELIVER | _NO_MORE_WAITING | (_HAS_HEADER if header else 0)
    timestamp = fields.write_timestamp(at)
    address = fields.write_address(sender)
    return _hex(centre, bytes([first]) + address + bytes([0, _DCS[segment.coding]]) + timestamp + data)


def status_report(
    reference: int, recipient: str, *, sent_at: datetime, done_at: datetime, status: int, centre: str = ""
) -> tuple[str, int]:
    """A delivery report as the network hands it to a modem: hex and the octets that ``+CDS:`` counts."""
    times = fields.write_timestamp(sent_at) + fields.write_timestamp(done_at)
    address = fields.write_address(recipient)
    first = _STATUS_REPORT | _NO_MORE_WAITING
    return _hex(centre, bytes([first, reference]) + address + times + bytes([status]))


def _hex(centre: str, message: bytes) -> tuple[str, int]:
    return (fields.write_centre(centre) + message).hex().upper(), len(message)


def _user_data(segment: Segment, reference: int) -> tuple[bytes, bytes]:
    """The header alone, and all of the user data behind its length."""
    header = b""
    if segment.total > 1:
        header = fields.write_header(Concat(reference, segment.number, segment.total))
    length, payload = _payload(segment, header)
    if len(header) + len(payload) > _MAX_OCTETS:
        raise PduError(f"the part has {len(header) + len(payload)} octets; at most {_MAX_OCTETS}")
    return header, bytes([length]) + header + payload


def _payload(segment: Segment, header: bytes) -> tuple[int, bytes]:
    """The user data's length in the unit of its coding, and the characters."""
    if segment.coding is Coding.UCS2:
        payload = segment.text.encode("utf-16-be")
        return len(header) + len(payload), payload
    if segment.coding is Coding.DATA:
        payload = segment.text.encode("latin-1")
        return len(header) + len(payload), payload
    septets = alphabet.encode(segment.text)
    head_septets, fill_bits = _fill(len(header))
    return head_septets + len(septets), alphabet.pack(septets, fill_bits)


def _fill(header_octets: int) -> tuple[int, int]:
    """A header in septets, and the bits from its end to the next septet."""
    septets = (header_octets * 8 + 6) // 7
    return septets, septets * 7 - header_octets * 8


# ------------------------------------------------------------------------------------------ reading


def parse(pdu: str) -> Parsed:
    """Any PDU that a modem gives, and SUBMIT. Raises :class:`PduError`, which names the octet.

    What is behind the message is passed over: some modems fill up.
    """
    reader = Reader(_octets(pdu))
    centre = fields.read_centre(reader)
    first = reader.one("the first octet of the message")
    kind = first & _KIND_BITS
    if kind == _DELIVER:
        return _read_deliver(reader, first, centre)
    if kind == _SUBMIT:
        return _read_submit(reader, first, centre)
    if kind == _STATUS_REPORT:
        return _read_status_report(reader, centre)
    raise PduError(f"unknown kind of message {kind}", reader.at - 1)


def _octets(pdu: str) -> bytes:
    text = pdu.strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        good = next((i for i, char in enumerate(text) if char not in "0123456789abcdefABCDEF"), len(text))
        raise PduError("not hexadecimal", good // 2) from None


def _read_deliver(reader: Reader, first: int, centre: str) -> Deliver:
    sender = fields.read_address(reader, "sender")
    reader.one("the protocol identifier")
    coding = _coding(reader.one("the coding scheme"))
    at = fields.read_timestamp(reader, "the time")
    header, text, data = _read_user_data(reader, coding, has_header=bool(first & _HAS_HEADER))
    return Deliver(sender, at, text, header.concat, coding, data, centre)


def _read_submit(reader: Reader, first: int, centre: str) -> Submit:
    reference = reader.one("the reference")
    recipient = fields.read_address(reader, "recipient")
    reader.one("the protocol identifier")
    coding = _coding(reader.one("the coding scheme"))
    validity_s = _read_validity(reader, first & _VALIDITY_BITS)
    header, text, data = _read_user_data(reader, coding, has_header=bool(first & _HAS_HEADER))
    return Submit(
        recipient, text, header.concat, coding, data, bool(first & _REPORT), validity_s, reference, centre
    )


def _read_validity(reader: Reader, form: int) -> float | None:
    """Only the relative form is understood; the others are passed over."""
    if form == _VALIDITY_NONE:
        return None
    if form == _VALIDITY_RELATIVE:
        return fields.read_validity(reader.one("the validity"))
    reader.take(7, "the validity")
    return None


def _read_status_report(reader: Reader, centre: str) -> StatusReport:
    reference = reader.one("the reference")
    recipient = fields.read_address(reader, "recipient")
    sent_at = fields.read_timestamp(reader, "the time of sending")
    done_at = fields.read_timestamp(reader, "the time of the outcome")
    return StatusReport(reference, recipient, sent_at, done_at, reader.one("the status"), centre)


def _coding(scheme: int) -> Coding:
    """By the groups of TS 23.038, section 4. Compressed text is data: nobody sends it, nobody can read it."""
    group = scheme >> 4
    if group < 0x8:
        if scheme & 0x20:
            return Coding.DATA
        return (Coding.GSM7, Coding.DATA, Coding.UCS2, Coding.GSM7)[scheme >> 2 & 0x03]
    if group == 0xE:
        return Coding.UCS2
    return Coding.DATA if group == 0xF and scheme & 0x04 else Coding.GSM7


def _read_user_data(reader: Reader, coding: Coding, *, has_header: bool) -> tuple[Header, str, bytes]:
    """(header, text, octets of what is no text)."""
    length = reader.one("the length of the user data")
    start = reader.at
    size = (length * 7 + 7) // 8 if coding is Coding.GSM7 else length
    data = reader.take(size, "the user data")
    header = fields.read_header(data, start) if has_header else Header()
    body = data[header.size :]
    if coding is Coding.DATA:
        return header, "", body
    if coding is Coding.UCS2:
        text = body[: len(body) // 2 * 2].decode("utf-16-be", "surrogatepass")
    else:
        text = _read_septets(body, length, header)
    return header, text if header.concat else whole(text, coding), b""


def _read_septets(body: bytes, length: int, header: Header) -> str:
    head_septets, fill_bits = _fill(header.size)
    septets = alphabet.unpack(body, max(length - head_septets, 0), fill_bits)
    return alphabet.decode(septets, header.shift)


def whole(text: str, coding: Coding) -> str:
    """Text that stands for itself: joins what was cut, and replaces what stays half a character."""
    if coding is Coding.GSM7:
        return alphabet.mend(text).replace("\x1b", " ")
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
