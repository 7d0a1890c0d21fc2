"""What the modem is, knows and has done."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from hub.notify.transports.modem.pdu import Submit

HOME, ROAMING, SEARCHING, DENIED = 1, 5, 2, 3

INVALID_PDU, NO_NETWORK, SIM_PIN, SIM_PUK = 304, 331, 311, 316

BANNER = ("RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready")
HUAWEI_NOISE = ("^BOOT:20483416,0,0,0,72", "^RSSI:18", "^MODE:5,4")


@dataclass(frozen=True, slots=True)
class Sent:
    """One SUBMIT that went out, in the order of going out; ``reference`` is what ``+CMGS:`` said."""

    at: datetime
    reference: int
    pdu: str
    submit: Submit

    def line(self) -> str:
        """As one line of JSON."""
        submit, concat = self.submit, self.submit.concat
        return json.dumps(
            {
                "at": self.at.isoformat(),
                "reference": self.reference,
                "to": submit.recipient,
                "text": submit.text,
                "coding": submit.coding.value,
                "part": None if concat is None else [concat.reference, concat.number, concat.total],
                "wants_report": submit.wants_report,
                "pdu": self.pdu,
            },
            ensure_ascii=False,
        )


@dataclass(slots=True)
class Profile:
    """What ``ATZ``, ``AT&F`` and a reset put back."""

    has_echo: bool = True
    error_style: int = 0
    new_messages: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0])
    """``+CNMI``: mode, mt, bm, ds, bfr."""
    service: int = 0
    """``+CSMS``: with 1, messages handed over directly want ``+CNMA``."""
    registration_notes: int = 0
    charset: str = "GSM"
    operator_format: int = 0
    more_messages: int = 0


@dataclass(slots=True)
class Sim:
    """Who the modem is to the network."""

    number: str = "+56950001234"
    centre: str = "+56950000990"
    imsi: str = "730010000000001"
    pin: str = ""
    puk: str = "12345678"
    is_open: bool = True
    attempts: int = 3
    ussd: dict[str, str] = field(default_factory=lambda: {"*111#": "Su saldo es $1.234"})
