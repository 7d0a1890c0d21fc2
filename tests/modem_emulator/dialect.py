"""The AT commands (3GPP TS 27.007, 27.005, ITU-T V.250) that the emulator knows, as one table."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.notify.transports.modem import alphabet
from modem_emulator.storage import Status

if TYPE_CHECKING:
    from modem_emulator.modem import Modem

CHARSETS = ("GSM", "IRA", "UCS2", "HEX")
OPERATOR = ("ENTEL PCS", "ENTEL", "73001")


class AtError(Exception):
    def shown(self, style: int) -> str:  # noqa: ARG002 - the others ask for it
        return "ERROR"


_CME_WORDS = {
    11: "SIM PIN required",
    12: "SIM PUK required",
    16: "incorrect password",
    30: "no network service",
}


class CmeError(AtError):
    """By number or in words, as ``AT+CMEE`` chose."""

    def __init__(self, code: int) -> None:
        self.code = code

    def shown(self, style: int) -> str:
        return ("ERROR", f"+CME ERROR: {self.code}", f"+CME ERROR: {_CME_WORDS[self.code]}")[style]


class CmsError(AtError):
    def __init__(self, code: int) -> None:
        self.code = code

    def shown(self, style: int) -> str:  # noqa: ARG002 - modems give this one by number in any style
        return f"+CMS ERROR: {self.code}"


@dataclass(frozen=True, slots=True)
class Command:
    """``kind``: ``test`` (=?), ``read`` (?), ``set`` (=..) or ``run``."""

    name: str
    kind: str
    values: tuple[str, ...] = ()

    def number(self, index: int, default: int | None = None) -> int:
        if index >= len(self.values) or not self.values[index]:
            if default is None:
                raise AtError
            return default
        if not self.values[index].isdigit():
            raise AtError
        return int(self.values[index])


_EXTENDED = re.compile(r'([+^$*%][A-Za-z0-9]*)(=\?|\?|=((?:[^";]|"[^"]*"?)*))?;?')
_BASIC = re.compile(r"(&?[A-Za-z])(\d*)(\?)?;?")


def commands(text: str) -> Iterator[Command]:
    """The commands of one line, without its ``AT``. Raises :class:`AtError` where it ceases to be one."""
    at = 0
    while at < len(text):
        if text[at] in "; ":
            at += 1
            continue
        found = _EXTENDED.match(text, at) or _BASIC.match(text, at)
        if found is None:
            raise AtError
        yield _extended(found) if text[at] in "+^$*%" else _basic(found)
        at = found.end()


def _extended(found: re.Match[str]) -> Command:
    name, rest = found[1].upper(), found[2] or ""
    if rest.startswith("=") and rest != "=?":
        return Command(name, "set", tuple(_values(found[3])))
    return Command(name, {"": "run", "?": "read", "=?": "test"}[rest])


def _basic(found: re.Match[str]) -> Command:
    return Command(found[1].upper(), "read" if found[3] else "set", (found[2],))


def _values(text: str) -> list[str]:
    """Split at commas outside quotes; quotes are taken off."""
    parts, in_quotes = [""], False
    for char in text:
        in_quotes ^= char == '"'
        if char == "," and not in_quotes:
            parts.append("")
        elif char != '"':
            parts[-1] += char
    return [part.strip() for part in parts]


def answer(modem: "Modem", command: Command) -> list[str] | None:
    """The lines before the OK; None when no OK is due. Raises :class:`AtError`."""
    handler = _HANDLERS.get(command.name)
    if handler is None or command.name in modem.faults.deaf_commands:
        raise AtError
    try:
        return handler(modem, command)
    except (ValueError, IndexError):  # values that are no values
        raise AtError from None


# --------------------------------------------------------------------------------- who the modem is


def _fixed(*lines: str) -> "Handler":
    return lambda _, command: [] if command.kind == "test" else list(lines)


def _accept(modem: "Modem", command: Command) -> list[str]:
    return []


def _echo(modem: "Modem", command: Command) -> list[str]:
    modem.profile.has_echo = command.number(0, 0) == 1
    return []


def _defaults(modem: "Modem", command: Command) -> list[str]:
    modem.profile = type(modem.profile)()
    return []


def _imsi(modem: "Modem", command: Command) -> list[str]:
    _need_sim(modem)
    return [] if command.kind == "test" else [modem.sim.imsi]


def _own_number(modem: "Modem", command: Command) -> list[str]:
    _need_sim(modem)
    return [f'+CNUM: "","{modem.sim.number}",145']


def _need_sim(modem: "Modem") -> None:
    if not modem.sim.is_open:
        raise CmeError(11 if modem.sim.attempts else 12)


# -------------------------------------------------------------------------------------- the machine


def _function(modem: "Modem", command: Command) -> list[str] | None:
    if command.kind == "test":
        return ["+CFUN: (0,1,4),(0,1)"]
    if command.kind == "read":
        return [f"+CFUN: {1 if modem.is_radio_on else 4}"]
    if command.number(1, 0) == 1:
        modem.answer([])
        modem.reset()
        return None
    was_on, modem.is_radio_on = modem.is_radio_on, command.number(0) == 1
    if was_on != modem.is_radio_on:
        modem.registration_changed()
    return []


def _errors(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CMEE: (0-2)"]
    if command.kind == "read":
        return [f"+CMEE: {modem.profile.error_style}"]
    if command.number(0) > 2:
        raise AtError
    modem.profile.error_style = command.number(0)
    return []


def _charset(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CSCS: (" + ",".join([f'"{name}"' for name in CHARSETS]) + ")"]
    if command.kind == "read":
        return [f'+CSCS: "{modem.profile.charset}"']
    if command.values[0].upper() not in CHARSETS:
        raise AtError
    modem.profile.charset = command.values[0].upper()
    return []


def _pin(modem: "Modem", command: Command) -> list[str]:
    sim = modem.sim
    if command.kind == "test":
        return []
    if command.kind == "read":
        return ["+CPIN: " + ("READY" if sim.is_open else "SIM PIN" if sim.attempts else "SIM PUK")]
    if sim.is_open:
        raise AtError
    if not sim.attempts:
        return _unblock(modem, command)
    if command.values[0] != sim.pin:
        sim.attempts -= 1
        raise CmeError(16)
    modem.unlock()
    return []


def _unblock(modem: "Modem", command: Command) -> list[str]:
    if len(command.values) < 2:
        raise CmeError(12)
    if command.values[0] != modem.sim.puk:
        raise CmeError(16)
    modem.sim.pin = command.values[1]
    modem.unlock()
    return []


def _lock(modem: "Modem", command: Command) -> list[str]:
    if command.values[:2] == ("SC", "2"):
        return [f"+CLCK: {int(bool(modem.sim.pin))}"]
    raise AtError


# -------------------------------------------------------------------------------------- the network


def _registration(modem: "Modem", command: Command) -> list[str]:
    name = command.name
    if command.kind == "test":
        return [f"{name}: (0-2)"]
    if command.kind == "read":
        place = ',"1A2B","03C4"' if modem.profile.registration_notes == 2 and modem.is_on_network else ""
        return [f"{name}: {modem.profile.registration_notes},{modem.shown_registration}{place}"]
    modem.profile.registration_notes = command.number(0)
    return []


def _signal(modem: "Modem", command: Command) -> list[str]:
    return ["+CSQ: (0-31,99),(0-7,99)"] if command.kind == "test" else [f"+CSQ: {modem.signal},99"]


def _operator(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return [f'+COPS: (2,"{OPERATOR[0]}","{OPERATOR[1]}","{OPERATOR[2]}"),,(0,1,4),(0,1,2)']
    if command.kind == "read":
        if not modem.is_on_network:
            return ["+COPS: 0"]
        chosen = modem.profile.operator_format
        return [f'+COPS: 0,{chosen},"{OPERATOR[chosen]}"']
    if command.number(0) == 3:
        modem.profile.operator_format = command.number(1, 0)
    return []


def _attached(modem: "Modem", command: Command) -> list[str]:
    return [f"+CGATT: {int(modem.is_on_network)}"] if command.kind == "read" else []


def _ussd(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CUSD: (0-2)"]
    if command.kind != "set" or len(command.values) < 2:
        return []
    _need_sim(modem)
    if not modem.is_on_network:
        raise CmeError(30)
    code = command.values[1]
    if modem.profile.charset == "UCS2":
        code = bytes.fromhex(code).decode("utf-16-be")
    modem._later(0, lambda: modem.unasked(_ussd_answer(modem, code)))
    return []


def _ussd_answer(modem: "Modem", code: str) -> str:
    text = modem.sim.ussd.get(code)
    if text is None:
        return "+CUSD: 4"  # operation not supported
    if modem.ussd_style == "packed":  # Huawei
        return f'+CUSD: 0,"{_packed(text)}",15'
    if modem.ussd_style == "ucs2" or modem.profile.charset == "UCS2":
        return f'+CUSD: 0,"{text.encode("utf-16-be").hex().upper()}",72'
    return f'+CUSD: 0,"{text}",15'


def _packed(text: str) -> str:
    septets = alphabet.encode(text)
    if len(septets) % 8 == 7:  # or seven zero bits would read as @ (TS 23.038, 6.1.2.3.1)
        septets += b"\r"
    return alphabet.pack(septets).hex().upper()


# --------------------------------------------------------------------------------------- the texts


def _format(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CMGF: (0)"]
    if command.kind == "read":
        return ["+CMGF: 0"]
    if command.number(0) != 0:
        raise AtError  # PDU mode only
    return []


def _service(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CSMS: (0,1)"]
    if command.kind == "read":
        return [f"+CSMS: {modem.profile.service},1,1,1"]
    if command.number(0) > 1:
        raise AtError
    modem.profile.service = command.number(0)
    return ["+CSMS: 1,1,1"]


def _centre(modem: "Modem", command: Command) -> list[str]:
    modem.check_sim()
    if command.kind == "read":
        return [f'+CSCA: "{modem.sim.centre}",{145 if modem.sim.centre.startswith("+") else 129}']
    if command.kind == "set":
        modem.sim.centre = command.values[0]
    return []


def _more_messages(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CMMS: (0-2)"]
    if command.kind == "read":
        return [f"+CMMS: {modem.profile.more_messages}"]
    modem.profile.more_messages = command.number(0)
    return []


def _new_messages(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CNMI: (0-2),(0-3),(0,2,3),(0-2),(0,1)"]
    if command.kind == "read":
        return ["+CNMI: " + ",".join(map(str, modem.profile.new_messages))]
    chosen = [command.number(index, 0) for index in range(5)]
    if any(value > most for value, most in zip(chosen, (2, 3, 3, 2, 1), strict=True)):
        raise AtError
    modem.profile.new_messages = chosen
    modem.take_waiting()
    return []


def _memories(modem: "Modem", command: Command) -> list[str]:
    modem.check_sim()
    names = ",".join([f'"{name}"' for name in modem.memories])
    if command.kind == "test":
        return [f"+CPMS: ({names}),({names}),({names})"]
    if command.kind == "set":
        if any(name not in modem.memories for name in command.values):
            raise CmsError(302)
        modem.chosen[: len(command.values)] = command.values
        return ["+CPMS: " + ",".join([_filled(modem, name) for name in modem.chosen])]
    return ["+CPMS: " + ",".join([f'"{name}",{_filled(modem, name)}' for name in modem.chosen])]


def _filled(modem: "Modem", name: str) -> str:
    memory = modem.memories[name]
    return f"{len(memory.slots)},{memory.capacity}"


def _send(modem: "Modem", command: Command) -> list[str] | None:
    if command.kind == "test":
        return []
    modem.check_sim()
    modem.prompt(command.number(0))
    return None


def _list(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CMGL: (0-4)"]
    modem.check_sim()
    wanted = command.number(0, 0)
    if wanted > 4:
        raise CmsError(305)
    lines: list[str] = []
    for slot, stored in sorted(modem.memories[modem.chosen[0]].slots.items()):
        if wanted in (4, stored.status):
            lines.append(f"+CMGL: {slot},{stored.read().value},,{stored.length}\r\n{stored.pdu}")
    return lines


def _read(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return []
    modem.check_sim()
    stored = modem.memories[modem.chosen[0]].slots.get(command.number(0))
    if stored is None:
        raise CmsError(321)
    return [f"+CMGR: {stored.read().value},,{stored.length}\r\n{stored.pdu}"]


_DELETED = {
    1: {Status.READ},
    2: {Status.READ, Status.SENT},
    3: {Status.READ, Status.SENT, Status.UNSENT},
    4: set(Status),
}


def _delete(modem: "Modem", command: Command) -> list[str]:
    memory = modem.memories[modem.chosen[0]]
    if command.kind == "test":
        return ["+CMGD: (" + ",".join(map(str, sorted(memory.slots))) + "),(0-4)"]
    modem.check_sim()
    which = _DELETED.get(command.number(1, 0))
    if which is None:
        memory.slots.pop(command.number(0), None)
    else:
        memory.slots = {n: stored for n, stored in memory.slots.items() if stored.status not in which}
    modem.take_waiting()
    return []


def _acknowledge(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CNMA: (0-2)"]
    modem.acknowledged()
    return []


Handler = Callable[["Modem", Command], list[str] | None]

_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(["V", "Q", "X", "S", "H", "&C", "&D", "&K", "&S", "&W", "&V", "\\Q"], _accept),
    "E": _echo,
    "Z": _defaults,
    "&F": _defaults,
    "I": _fixed("ALMENARA", "EMULADOR", "Revision: 1.0"),
    "+GMI": _fixed("ALMENARA"),
    "+GMM": _fixed("EMULADOR"),
    "+GMR": _fixed("1.0"),
    "+GSN": _fixed("350123456789012"),
    "+CGMI": _fixed("ALMENARA"),
    "+CGMM": _fixed("EMULADOR"),
    "+CGMR": _fixed("1.0"),
    "+CGSN": _fixed("350123456789012"),
    "+GCAP": _fixed("+GCAP: +CGSM"),
    "+CBC": _fixed("+CBC: 0,90"),
    "+CPAS": _fixed("+CPAS: 0"),
    "+CIMI": _imsi,
    "+CNUM": _own_number,
    "+CFUN": _function,
    "+CMEE": _errors,
    "+CSCS": _charset,
    "+CPIN": _pin,
    "+CLCK": _lock,
    "+CREG": _registration,
    "+CGREG": _registration,
    "+CEREG": _registration,
    "+CSQ": _signal,
    "+COPS": _operator,
    "+CGATT": _attached,
    "+CUSD": _ussd,
    **dict.fromkeys(["+CLIP", "+CRC", "+CSDH", "+CSMP", "+CSAS", "+IPR", "+IFC", "+ICF", "+CR"], _accept),
    "+CMGF": _format,
    "+CSMS": _service,
    "+CSCA": _centre,
    "+CMMS": _more_messages,
    "+CNMI": _new_messages,
    "+CPMS": _memories,
    "+CMGS": _send,
    "+CMGL": _list,
    "+CMGR": _read,
    "+CMGD": _delete,
    "+CNMA": _acknowledge,
}
