"""The AT commands that the emulator knows, as one table; those for texts are in :mod:`dialect_texts`."""

from typing import TYPE_CHECKING

from hub.notify.transports.modem import alphabet
from modem_emulator import dialect_texts
from modem_emulator.commands import AtError, CmeError, Command, Handler

if TYPE_CHECKING:
    from modem_emulator.modem import Modem

CHARSETS = ("GSM", "IRA", "UCS2", "HEX")
OPERATOR = ("ENTEL PCS", "ENTEL", "73001")


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


def _fixed(*lines: str) -> Handler:
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
    modem.later(0, lambda: modem.unasked(_ussd_answer(modem, code)))
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
    **dialect_texts.HANDLERS,
}
