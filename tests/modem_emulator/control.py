"""The control socket: one JSON object a line in, one out.

``{"do": "receive", "sender": "+569..", "text": "OK"}`` calls the emulator's method of that name;
``{"set": {"message_s": 4}}`` sets knobs of the modem, ``{"fault": {"lost_oks": 1}}`` faults;
``{"do": "sent"}`` and ``{"do": "texts"}`` give what went out.
"""

import contextlib
import json
import os
import socket
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modem_emulator.faults import Faults, Reports

if TYPE_CHECKING:
    from modem_emulator.emulator import Emulator

ORDERS = frozenset(
    "receive receive_pdu set_registration set_signal set_capacity"
    " unplug plug hang reset unasked noise banner".split()
)
KNOBS = frozenset({"message_s", "boot_s", "ack_s", "ussd_style"})
FAULTS = frozenset(field.name for field in fields(Faults))


def obey(emulator: "Emulator", order: dict[str, Any]) -> Any:
    """Raises ValueError, TypeError or KeyError for what is no order."""
    for name, value in order.get("set", {}).items():
        _check(name, KNOBS)
        setattr(emulator.modem, name, value)
    for name, value in order.get("fault", {}).items():
        _check(name, FAULTS)
        setattr(emulator.faults, name, type(getattr(emulator.faults, name))(value))
    if "reports" in order:
        plan = order["reports"] | {"statuses": tuple(order["reports"].get("statuses", (0,)))}
        emulator.set_reports(Reports(**plan), order.get("recipient", ""))
    return _do(emulator, order)


def _do(emulator: "Emulator", order: dict[str, Any]) -> Any:
    name = order.get("do")
    if name is None:
        return None
    if name == "sent":
        return [json.loads(sent.line()) for sent in emulator.sent]
    if name == "texts":
        return emulator.texts()
    _check(name, ORDERS)
    arguments = {key: value for key, value in order.items() if key not in {"do", "args"}}
    return getattr(emulator, name)(*order.get("args", ()), **arguments)


def _check(name: str, known: frozenset[str]) -> None:
    if name not in known:
        raise ValueError(f"{name}: one of {', '.join(sorted(known))}")


class Control:
    """Served by the line's thread."""

    def __init__(self, emulator: "Emulator", path: Path) -> None:
        self._emulator = emulator
        self._path = path
        self._server = socket.socket(socket.AF_UNIX)
        self._clients: dict[socket.socket, bytearray] = {}

    def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server.bind(str(self._path))
        self._server.listen()
        self._emulator.line.serve(self._server.fileno(), self._accept)

    def stop(self) -> None:
        self._emulator.line.call(self._close)

    def _close(self) -> None:
        for client in list(self._clients):
            self._drop(client)
        self._emulator.line.forget(self._server.fileno())
        self._server.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        client, _ = self._server.accept()
        self._clients[client] = bytearray()
        self._emulator.line.serve(client.fileno(), lambda: self._readable(client))

    def _readable(self, client: socket.socket) -> None:
        data = client.recv(65536)
        if not data:
            self._drop(client)
            return
        held = self._clients[client]
        held += data
        while b"\n" in held:
            line, _, rest = bytes(held).partition(b"\n")
            held[:] = rest
            with contextlib.suppress(OSError):
                client.sendall(_answer(self._emulator, line))

    def _drop(self, client: socket.socket) -> None:
        self._emulator.line.forget(client.fileno())
        del self._clients[client]
        client.close()


def _answer(emulator: "Emulator", line: bytes) -> bytes:
    try:
        answer: dict[str, Any] = {"ok": True, "result": obey(emulator, json.loads(line))}
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        answer = {"ok": False, "error": str(error) or type(error).__name__}
    return json.dumps(answer, ensure_ascii=False).encode() + os.linesep.encode()
