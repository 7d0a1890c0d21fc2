"""What a modem's lines say, as typed values. Pure; an odd line gives None or "unknown", no exception."""

import re
from dataclasses import dataclass
from enum import Enum

from hub.notify.transports.modem import alphabet
from hub.notify.transports.modem.errors import (
    DENIED,
    EMERGENCY_ONLY,
    NOT_SEARCHING,
    SEARCHING,
    Problem,
)


class Registration(Enum):
    """<stat> of +CREG and +CEREG (TS 27.007, 7.2); the value is what the technician reads."""

    IDLE = "sin red"
    HOME = "registrado"
    SEARCHING = "buscando red"
    DENIED = "rechazado por la red"
    UNKNOWN = "desconocido"
    ROAMING = "registrado en otra red (roaming)"
    EMERGENCY = "solo emergencias"

    @property
    def is_registered(self) -> bool:
        return self in (Registration.HOME, Registration.ROAMING)

    @property
    def problem(self) -> Problem | None:
        """Why no text can leave; None while registered."""
        return None if self.is_registered else _PROBLEMS[self]


_PROBLEMS = {
    Registration.IDLE: NOT_SEARCHING,
    Registration.SEARCHING: SEARCHING,
    Registration.DENIED: DENIED,
    Registration.UNKNOWN: NOT_SEARCHING,
    Registration.EMERGENCY: EMERGENCY_ONLY,
}
_STATS = {
    0: Registration.IDLE,
    1: Registration.HOME,
    2: Registration.SEARCHING,
    3: Registration.DENIED,
    4: Registration.UNKNOWN,
    5: Registration.ROAMING,
    6: Registration.HOME,  # for SMS only
    7: Registration.ROAMING,
    8: Registration.EMERGENCY,
    9: Registration.HOME,  # without preference for calls
    10: Registration.ROAMING,
}

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
UNKNOWN_RSSI = 99
# from this on, in dBm
_SIGNAL_WORDS = ((-75, "excelente"), (-85, "buena"), (-95, "regular"), (-105, "débil"))


@dataclass(frozen=True, slots=True)
class Stored:
    """One message in the modem's memory."""

    memory: str
    index: int
    pdu: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a memory holds. ``is_whole``: nothing else was in the answer, so nothing was torn."""

    messages: tuple[Stored, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Memories:
    """What +CPMS offers for reading, for sending and for receiving."""

    reading: tuple[str, ...]
    receiving: tuple[str, ...]


def after(lines: tuple[str, ...], name: str) -> str | None:
    """The text behind ``name:`` of the first line that has it."""
    for line in lines:
        if line.startswith(name + ":"):
            return line[len(name) + 1 :].strip()
    return None


def first_free(lines: tuple[str, ...]) -> str:
    """The first line without a ``+NAME:``, as +CGMM gives it; some modems do write the name."""
    return re.sub(r"^\+\w+: ?", "", lines[0]).strip('" ') if lines else ""


def registration(lines: tuple[str, ...], name: str = "+CREG") -> Registration:
    """``+CREG: 0,1`` or with place and technology behind."""
    fields = (after(lines, name) or "").split(",")
    stat = fields[1].strip() if len(fields) > 1 else ""
    return _STATS.get(int(stat), Registration.UNKNOWN) if stat.isdigit() else Registration.UNKNOWN


def signal_dbm(lines: tuple[str, ...]) -> int | None:
    """``+CSQ: 17,99`` → -79; None where the modem does not know it (99). TS 27.007, 8.5."""
    found = re.match(r"(\d+)", after(lines, "+CSQ") or "")
    rssi = int(found[1]) if found else UNKNOWN_RSSI
    return -113 + 2 * rssi if rssi <= 31 else None


def signal_words(dbm: int | None) -> str:
    """Plain Spanish for a signal."""
    if dbm is None:
        return "desconocida"
    return next((word for least, word in _SIGNAL_WORDS if dbm >= least), "muy débil")


def operator(lines: tuple[str, ...]) -> str:
    """``+COPS: 0,0,"ENTEL PCS",7`` → ENTEL PCS; empty while there is none."""
    return _quoted(after(lines, "+COPS"))


def service_centre(lines: tuple[str, ...]) -> str:
    """``+CSCA: "+56…",145`` → its number; empty where the SIM has none."""
    return _quoted(after(lines, "+CSCA"))


def _quoted(text: str | None) -> str:
    found = re.search(r'"([^"]*)"', text or "")
    return found[1].strip() if found else ""


def memories(lines: tuple[str, ...]) -> Memories:
    """``+CPMS: ("SM","ME","SR"),("SM","ME"),("SM","ME")``."""
    groups = re.findall(r"\(([^)]*)\)", after(lines, "+CPMS") or "")
    names = [tuple(re.findall(r'"(\w+)"', group)) for group in groups]
    return Memories(names[0] if names else (), names[2] if len(names) > 2 else ())


def listing(lines: tuple[str, ...], memory: str) -> Listing:
    """The answer to +CMGL: a header with the index, then the PDU; a pair that is torn is left out."""
    found: list[Stored] = []
    index: int | None = None
    for line in lines:
        header = re.match(r"\+CMGL: ?(\d+)", line)
        if header:
            index = int(header[1])
        elif index is not None and _HEX.fullmatch(line):
            found.append(Stored(memory, index, line))
            index = None
    return Listing(tuple(found), is_whole=len(lines) == 2 * len(found))


def pdu(lines: tuple[str, ...]) -> str | None:
    """The answer to +CMGR: a header, then the PDU, perhaps with noise between them."""
    return next((line for line in lines if _HEX.fullmatch(line)), None)


def place(text: str) -> tuple[str, int] | None:
    """``"ME",3`` of +CMTI and +CDSI → (ME, 3)."""
    found = re.fullmatch(r'"(\w+)", ?(\d+)', text)
    return (found[1], int(found[2])) if found else None


def reference(lines: tuple[str, ...]) -> int | None:
    """``+CMGS: 17`` → 17."""
    found = re.match(r"(\d+)", after(lines, "+CMGS") or "")
    return int(found[1]) if found else None


def pin_state(lines: tuple[str, ...]) -> str:
    """``+CPIN: SIM PIN`` → SIM PIN; READY where no PIN is asked for."""
    return (after(lines, "+CPIN") or "").strip('" ')


def pin_attempts(lines: tuple[str, ...]) -> int | None:
    """How often the PIN may still be tried, as +CPINR (TS 27.007, 8.65) or +SPIC say; None if they do not."""
    for line in lines:
        found = re.match(r'\+CPINR: ?"?SIM PIN"?, ?(\d+)|\+SPIC: ?(\d+)', line)
        if found:
            return int(found[1] or found[2])
    return None


def ussd_text(text: str) -> str:
    """``0,"Su saldo es $1.200",15`` → the text; also from UCS-2 or (Huawei) packed septets in hexadecimal."""
    found = re.match(r'\d+, ?"(.*?)"(?:, ?(\d+))?$', text, re.DOTALL)
    if found is None:
        return ""
    raw, scheme = found[1], int(found[2] or 15)
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){4,}", raw):
        return raw
    octets = bytes.fromhex(raw)
    if scheme in (8, 17, 72) or octets[0] == 0:
        return octets[: len(octets) // 2 * 2].decode("utf-16-be", "replace")
    return alphabet.decode(alphabet.unpack(octets, len(octets) * 8 // 7)).rstrip("\r")


def amount(text: str) -> float | None:
    """The first sum in pesos of an operator's answer: ``Su saldo es $ 1.234`` → 1234; None without one."""
    found = re.search(r"\$ ?(\d[\d.]*)", text) or re.search(r"(?i)(\d[\d.]*) ?(?:pesos|sms|mensajes)", text)
    return float(found[1].replace(".", "")) if found else None


def filled(lines: tuple[str, ...]) -> tuple[int, int] | None:
    """``+CPMS: 3,50,…`` → (3, 50): used and total places of the memory that was chosen for reading."""
    found = re.match(r"(\d+), ?(\d+)", after(lines, "+CPMS") or "")
    return (int(found[1]), int(found[2])) if found else None
