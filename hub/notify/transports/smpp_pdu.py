"""SMPP 3.4 on the wire: what we submit (by aiosmpplib) and what is delivered to us. Pure.

``deliver_sm`` is read here, because the library stops at receipts with a date of twelve digits, an error code
that is no number, a status it does not know, and at parts with references of 16 bits.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aiosmpplib import NPI, TON, OptionalParam, PhoneNumber, SubmitSm

from hub.notify.transports.modem import alphabet, fields, segments
from hub.notify.transports.modem.fields import Concat, PduError
from hub.notify.transports.modem.pdu import Deliver
from hub.notify.transports.modem.segments import Coding

HEADER_SIZE = 16
MAX_SIZE = 70_000
"""``message_payload`` holds 64 kB; more is no PDU but a stream that lost its step."""

BIND_TRANSCEIVER, SUBMIT, DELIVER, UNBIND, ENQUIRE = 0x09, 0x04, 0x05, 0x06, 0x15
RESPONSE = 0x8000_0000
GENERIC_NACK = 0x8000_0000
OK, BIND_FAILED, BAD_PASSWORD, BAD_SYSTEM_ID = 0x00, 0x0D, 0x0E, 0x0F
INVALID_LENGTH, INVALID_SOURCE, INVALID_DESTINATION, QUEUE_FULL, THROTTLED = 0x01, 0x0A, 0x0B, 0x14, 0x58

STATUS_TEXTS: Mapping[int, str] = {
    INVALID_LENGTH: "largo del mensaje no válido",
    0x08: "error interno del operador",
    INVALID_SOURCE: "remitente no válido",
    INVALID_DESTINATION: "número de destino no válido",
    BIND_FAILED: "el operador no aceptó la conexión",
    BAD_PASSWORD: "clave equivocada",
    BAD_SYSTEM_ID: "usuario desconocido",
    QUEUE_FULL: "cola del operador llena",
    0x45: "envío rechazado",
    THROTTLED: "demasiados mensajes por segundo",
}
REFUSED_PHONE = frozenset({INVALID_LENGTH, INVALID_DESTINATION, 0x50, 0x51})
"""What is wrong with this phone or this text (0x50, 0x51: its type of number), not with the connection."""
BUSY = frozenset({QUEUE_FULL, THROTTLED})

_GSM, _UCS2 = 0, 8
_MESSAGE_PAYLOAD, _RECEIPTED_ID, _MESSAGE_STATE = 0x0424, 0x001E, 0x0427
_SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER = 0x020C, 0x020E, 0x020F
_UDH, _RECEIPT_KIND, _RECEIPT = 0x40, 0x3C, 0x04
_DELIVERED, _ENDED = 2, frozenset({3, 4, 5, 8})
_WORDS: Mapping[str, int] = {
    "DELIVRD": _DELIVERED, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "REJECTD": 8, "UNKNOWN": 7,
    "ACCEPTD": 6, "ENROUTE": 1,
}  # fmt: skip
_STATE_TEXTS: Mapping[int, str] = {
    3: "venció sin entregarse", 4: "borrado por el operador", 5: "no se pudo entregar", 8: "rechazado",
}  # fmt: skip


def status_text(status: int) -> str:
    return STATUS_TEXTS.get(status, f"error SMPP 0x{status:02X}")


# ------------------------------------------------------------------------------------------- outgoing


def submits(text: str, to: str, sender: PhoneNumber, reference: int, *, is_sar: bool) -> list[SubmitSm]:
    """A ``submit_sm`` for each part. ``reference`` (0 to 255) must differ between texts for one phone.

    Raises :class:`segments.SegmentError`.
    """
    return [_submit(part, to, sender, reference, is_sar) for part in segments.split(text)]


def _submit(part: segments.Segment, to: str, sender: PhoneNumber, reference: int, is_sar: bool) -> SubmitSm:
    has_header = part.total > 1 and not is_sar
    is_gsm = part.coding is Coding.GSM7
    submit = SubmitSm(
        short_message=part.text or " ",
        source=sender,
        destination=PhoneNumber(to.removeprefix("+"), TON.INTERNATIONAL, NPI.ISDN),
        esm_class=_UDH if has_header else 0,
        encoding="gsm0338" if is_gsm else "ucs2",
        registered_delivery=1,
        auto_message_payload=False,
    )
    if part.total > 1 and is_sar:
        submit.optional_params = [
            OptionalParam(_SAR_REFERENCE, reference),
            OptionalParam(_SAR_TOTAL, part.total),
            OptionalParam(_SAR_NUMBER, part.number),
        ]
    header = fields.write_header(Concat(reference, part.number, part.total)) if has_header else b""
    body = alphabet.encode(part.text) if is_gsm else part.text.encode("utf-16-be")
    submit.set_encoded_message(header + body)
    return submit


# ------------------------------------------------------------------------------------------- incoming


@dataclass(frozen=True, slots=True)
class Receipt:
    """``is_delivered`` None: not the last word."""

    message_id: str
    is_delivered: bool | None
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fields:
    source: str
    esm_class: int
    coding: int
    body: bytes
    options: Mapping[int, bytes] = field(default_factory=dict)


def read_deliver(pdu: bytes, at: datetime) -> Receipt | Deliver:
    """Raises :class:`PduError` for what cannot be read."""
    try:
        found = _fields(pdu)
    except (struct.error, IndexError, ValueError) as error:
        raise PduError("deliver_sm is cut short", HEADER_SIZE) from error
    if found.esm_class & _RECEIPT_KIND == _RECEIPT:
        return _receipt(found)
    return _deliver(found, at)


def _fields(pdu: bytes) -> _Fields:
    at = HEADER_SIZE
    _, at = _c_string(pdu, at)
    ton, at = pdu[at], at + 2
    source, at = _c_string(pdu, at)
    _, at = _c_string(pdu, at + 2)
    esm_class, at = pdu[at], at + 3
    _, at = _c_string(pdu, at)
    _, at = _c_string(pdu, at)
    coding, length = pdu[at + 2], pdu[at + 4]
    at += 5
    options = _options(pdu, at + length)
    body = pdu[at : at + length] or options.get(_MESSAGE_PAYLOAD, b"")
    plus = "+" if ton == TON.INTERNATIONAL and source.isdigit() else ""
    return _Fields(source=plus + source, esm_class=esm_class, coding=coding, body=body, options=options)


def _c_string(pdu: bytes, at: int) -> tuple[str, int]:
    end = pdu.index(0, at)
    return pdu[at:end].decode("latin-1"), end + 1


def _options(pdu: bytes, at: int) -> dict[int, bytes]:
    options = {}
    while at + 4 <= len(pdu):
        tag, length = struct.unpack_from("!HH", pdu, at)
        options[tag] = pdu[at + 4 : at + 4 + length]
        at += 4 + length
    return options


def _deliver(found: _Fields, at: datetime) -> Deliver:
    concat, body = _sar(found.options), found.body
    if found.esm_class & _UDH:
        header = fields.read_header(body, HEADER_SIZE)
        concat, body = header.concat, body[header.size :]
    coding = Coding.UCS2 if found.coding & 0x0C == _UCS2 else Coding.GSM7
    return Deliver(found.source, at, _text(body, found.coding), concat, coding)


def _sar(options: Mapping[int, bytes]) -> Concat | None:
    reference, total, number = (options.get(tag, b"") for tag in (_SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER))
    if not (reference and total and number):
        return None
    return Concat(int.from_bytes(reference), int.from_bytes(number), int.from_bytes(total))


def _text(body: bytes, coding: int) -> str:
    if coding == _UCS2:
        return body.decode("utf-16-be", "replace")
    if coding in (1, 3):  # IA5 and Latin 1
        return body.decode("latin-1").replace("\x1b", " ")
    return alphabet.decode(bytes(octet & 0x7F for octet in body))


def _receipt(found: _Fields) -> Receipt:
    """The optional parameters first, else the words of appendix B, which each operator writes its own way."""
    text = found.body.decode("latin-1")
    named = found.options.get(_RECEIPTED_ID, b"").rstrip(b"\0").decode("latin-1")
    message_id = named or _word(text, "id")
    raw_state = found.options.get(_MESSAGE_STATE, b"")
    state = raw_state[0] if raw_state else _WORDS.get(_word(text, "stat").upper()[:7], 0)
    if not message_id:
        raise PduError("a receipt names no message", HEADER_SIZE)
    if state == _DELIVERED:
        return Receipt(message_id, True, "")
    if state not in _ENDED:
        return Receipt(message_id, None, "")
    code = _word(text, "err").lstrip("0")
    return Receipt(message_id, False, _STATE_TEXTS[state] + (f" (código {code})" if code else ""))


def _word(text: str, name: str) -> str:
    found = re.search(rf"(?:^|\s){name}:(\S+)", text, re.IGNORECASE)
    return found[1] if found else ""
