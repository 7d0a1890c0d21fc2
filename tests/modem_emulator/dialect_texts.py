"""The AT commands for texts (3GPP TS 27.005), in PDU mode."""

from typing import TYPE_CHECKING

from modem_emulator.commands import AtError, CmsError, Command, Handler
from modem_emulator.storage import Status

if TYPE_CHECKING:
    from modem_emulator.modem import Modem


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
    modem.arrivals.take_waiting()
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
    modem.arrivals.take_waiting()
    return []


def _acknowledge(modem: "Modem", command: Command) -> list[str]:
    if command.kind == "test":
        return ["+CNMA: (0-2)"]
    modem.arrivals.acknowledged()
    return []


HANDLERS: dict[str, Handler] = {
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
