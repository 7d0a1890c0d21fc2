"""``almenara-hub sms …``: look at a modem, send one text, listen. Needs no database and no hub."""

import argparse
import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.notify.transports import Outgoing, TransportEvent
    from hub.notify.transports.modem.state import ModemState
    from hub.notify.transports.modem.transport import ModemTransport

NETWORK_S = 30.0
NAME = "sms"


def add_sms(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sms = commands.add_parser("sms", help="módems: revisar, enviar un SMS de prueba, escuchar")
    actions = sms.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    check = actions.add_parser(
        "check", help="qué módem es y si puede enviar; termina con 0 si puede, con 1 si no"
    )
    _add_modem(check)
    check.set_defaults(act=_check)
    send = actions.add_parser("send", help="envía un SMS; termina con 0 si la red lo aceptó")
    _add_modem(send)
    send.add_argument("number", metavar="NÚMERO", help="celular, por ejemplo +56987654321")
    send.add_argument("text", metavar="TEXTO")
    send.add_argument(
        "--wait-report", type=float, metavar="S", help="espera la confirmación de entrega hasta S segundos"
    )
    send.add_argument("--accents", action="store_true", help="conserva á í ó ú aunque cueste más partes")
    send.set_defaults(act=_send)
    listen = actions.add_parser("listen", help="muestra los SMS y avisos de entrega que llegan, hasta Ctrl-C")
    _add_modem(listen)
    listen.add_argument("--json", action="store_true", help="una línea de JSON por mensaje")
    listen.add_argument("--for", dest="for_s", type=float, metavar="S", help="termina solo tras S segundos")
    listen.add_argument("--keep", action="store_true", help="no borra del módem lo que muestra")
    listen.set_defaults(act=_listen)


def _add_modem(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--port", required=True, metavar="RUTA", help="puerto serial, por ejemplo /dev/ttyUSB2")
    sub.add_argument("--pin-file", type=Path, metavar="ARCHIVO", help="archivo que contiene el PIN de la SIM")
    sub.add_argument("--smsc", default="", metavar="NÚMERO", help="central de mensajes, si la SIM no la trae")
    sub.add_argument(
        "--wait-network",
        type=float,
        default=NETWORK_S,
        metavar="S",
        help=f"espera la red hasta S segundos ({NETWORK_S:.0f})",
    )


# ------------------------------------------------------------------------------------------- acts


async def _check(_settings: object, arguments: argparse.Namespace) -> int:
    async with _modem(arguments) as modem:
        state = await _settled(modem, arguments.wait_network)
    for label, value in _facts(state):
        print(f"{label:<10} {value}")
    if state.is_ok:
        print("Listo: este módem puede enviar y recibir SMS.")
        return 0
    _complain(state)
    return 1


async def _send(_settings: object, arguments: argparse.Namespace) -> int:
    from hub.devices.import_fields import FieldError
    from hub.notify.contacts import normal_phone
    from hub.notify.transports import TransportError

    try:
        to = normal_phone(arguments.number)
    except FieldError as error:
        print(f"{error}. {error.remedy}", file=sys.stderr)
        return 1
    async with _modem(arguments) as modem:
        state = await _settled(modem, arguments.wait_network)
        if not state.is_ok:
            _complain(state)
            return 1
        try:
            references = await modem.send(_message(arguments, to))
        except TransportError as error:
            doubt = "; puede que haya salido de todos modos" if error.maybe_sent else ""
            print(f"No se envió: {error}{doubt}.", file=sys.stderr)
            return 1
        print(f"La red aceptó el mensaje ({_parts(len(references))}).")
        if arguments.wait_report is None:
            return 0
        return await _await_reports(modem, references, arguments.wait_report)


async def _listen(_settings: object, arguments: argparse.Namespace) -> int:
    async with _modem(arguments) as modem:
        state = await _settled(modem, arguments.wait_network)
        if not state.is_ready:
            _complain(state)
            return 1
        print(f"Escuchando en {arguments.port}; Ctrl-C termina.", file=sys.stderr)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(arguments.for_s):
                async for arrived in modem.arrivals():
                    print(_line(arrived.event, as_json=arguments.json), flush=True)
                    if not arguments.keep:
                        modem.commit(arrived)
    return 0


# ------------------------------------------------------------------------------------------ helpers


@contextlib.asynccontextmanager
async def _modem(arguments: argparse.Namespace) -> "AsyncIterator[ModemTransport]":
    from hub.clock import SystemClock
    from hub.notify.transports.modem.settings import ModemSettings
    from hub.notify.transports.modem.transport import ModemTransport

    settings = ModemSettings(
        name=NAME,
        port=arguments.port,
        pin_file=arguments.pin_file,
        smsc=arguments.smsc,
        full_accents=getattr(arguments, "accents", False),
    )
    modem = ModemTransport(settings, SystemClock())
    running = asyncio.create_task(modem.run_loop())
    try:
        yield modem
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _settled(modem: "ModemTransport", network_s: float) -> "ModemState":
    """The state once the modem can send, or once waiting longer is of no use."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(network_s):
            while not modem.state.is_ok and modem.state.problem is None:
                await modem.changed()
    return modem.state


def _facts(state: "ModemState") -> list[tuple[str, str]]:
    from hub.notify.transports.modem.state import signal_text

    facts = [("Puerto", state.port), ("Módem", str(state.identity)), ("IMEI", state.identity.serial)]
    if state.is_ready:
        facts += [
            ("SIM", "lista"),
            ("Red", f"{state.registration.value} {state.operator}".strip()),
            ("Señal", signal_text(state.signal_dbm)),
            ("Central", state.service_centre),
        ]
    return [(label, value) for label, value in facts if value]


def _complain(state: "ModemState") -> None:
    from hub.notify.transports.modem.errors import NO_ANSWER

    trouble = state.trouble or NO_ANSWER
    print(f"No sirve todavía: {trouble.cause}.\nQué hacer: {trouble.remedy}.", file=sys.stderr)


def _message(arguments: argparse.Namespace, to: str) -> "Outgoing":
    from hub.clock import SystemClock
    from hub.notify.transports import Outgoing

    return Outgoing(
        notification_id=uuid.uuid4(),
        at=SystemClock().now(),
        to=to,
        recipient="prueba",
        text=arguments.text,
        priority=1,
    )


async def _await_reports(modem: "ModemTransport", references: tuple[str, ...], wait_s: float) -> int:
    """What else arrives stays in the modem, for the hub."""
    from hub.notify.transports import DeliveryReport

    missing, is_delivered = set(references), True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            async for arrived in modem.arrivals():
                report = arrived.event
                if isinstance(report, DeliveryReport) and report.reference in missing:
                    missing.remove(report.reference)
                    is_delivered &= report.is_delivered
                    number = references.index(report.reference) + 1
                    print(f"Parte {number} de {len(references)}: {report.detail}.")
                    modem.commit(arrived)
                if not missing:
                    break
    if missing:
        print(f"Sin confirmación de {_parts(len(missing))} en {wait_s:.0f} s.", file=sys.stderr)
    return 0 if is_delivered and not missing else 1


def _parts(count: int) -> str:
    return "1 parte" if count == 1 else f"{count} partes"


def _line(event: "TransportEvent", *, as_json: bool) -> str:
    from hub.notify.transports import Inbound

    if isinstance(event, Inbound):
        fields: dict[str, object] = {
            "kind": "inbound",
            "at": event.at.isoformat(),
            "sender": event.sender,
            "text": event.text,
        }
        shown = f"{_clock_time(event.at)} de {event.sender}: {event.text}"
    else:
        fields = {
            "kind": "report",
            "at": event.at.isoformat(),
            "reference": event.reference,
            "is_delivered": event.is_delivered,
            "detail": event.detail,
        }
        shown = f"{_clock_time(event.at)} aviso de {event.reference}: {event.detail}"
    return json.dumps(fields, ensure_ascii=False) if as_json else shown


def _clock_time(at: datetime) -> str:
    from hub.notify.text import SANTIAGO

    return f"{at.astimezone(SANTIAGO):%d-%m %H:%M:%S}"
