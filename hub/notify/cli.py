"""``almenara-hub contacts|groups|drills|bulletins|texts …``: the people who are warned."""

import argparse
import sys
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.settings import HubSettings

AddOptions = Callable[[argparse.ArgumentParser], None]
AUTHOR = "línea de órdenes"


def add_people(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    _add_contacts(commands, add_server_options)
    _add_groups(commands, add_server_options)
    _add_drills(commands, add_server_options)
    _add_bulletins(commands, add_server_options)
    _add_texts(commands, add_server_options)


def _add_contacts(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    from hub.notify.contact_file import COLUMNS

    contacts = commands.add_parser("contacts", help="personas que reciben avisos")
    actions = contacts.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    importing = actions.add_parser(
        "import", help="importa desde CSV", description=f"Columnas: {', '.join(COLUMNS)}."
    )
    importing.add_argument("file", type=Path, metavar="ARCHIVO")
    importing.set_defaults(act=_import_contacts)
    listing = actions.add_parser("list", help="muestra las personas; los teléfonos, abreviados")
    listing.add_argument("--group", metavar="GRUPO", help="solo este grupo")
    listing.set_defaults(act=_list_contacts)
    exporting = actions.add_parser("export", help="escribe las personas activas como CSV, con teléfonos")
    exporting.add_argument("file", type=Path, metavar="ARCHIVO")
    exporting.add_argument("--group", metavar="GRUPO", help="solo este grupo")
    exporting.set_defaults(act=_export_contacts)
    for action in (importing, listing, exporting):
        add_server_options(action)


def _add_groups(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    groups = commands.add_parser("groups", help="grupos de vigilancia")
    actions = groups.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    listing = actions.add_parser("list", help="muestra los grupos, su quórum y su último simulacro")
    listing.set_defaults(act=_list_groups)
    change = actions.add_parser("set", help="cambia lo que un grupo ha acordado")
    change.add_argument("group", metavar="GRUPO")
    change.add_argument("--quorum", type=int, metavar="N", help="cuántos deben responder que van")
    change.add_argument("--within", type=int, metavar="SEGUNDOS", help="en cuánto tiempo, antes de llamar")
    change.add_argument(
        "--shows", choices=["call_sign", "first_name", "count"], help="cómo se nombra a quien va"
    )
    change.add_argument("--drill-day", type=int, metavar="DÍA", help="simulacro mensual: 1 a 28; 0: ninguno")
    change.add_argument("--drill-time", type=time.fromisoformat, metavar="HH:MM", help="hora local (11:00)")
    change.set_defaults(act=_change_group)
    for action in (listing, change):
        add_server_options(action)


def _add_drills(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    drills = commands.add_parser("drills", help="simulacros")
    actions = drills.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    run = actions.add_parser("run", help="comienza ahora el simulacro de un grupo; los mensajes lo dicen")
    run.add_argument("group", metavar="GRUPO")
    run.set_defaults(act=_run_drill)
    listing = actions.add_parser("list", help="muestra los simulacros, hechos y por hacer")
    listing.add_argument("--group", metavar="GRUPO", help="solo este grupo")
    listing.set_defaults(act=_list_drills)
    proof = actions.add_parser("proof", help="escribe la constancia de un simulacro (JSON) y su SHA-256")
    proof.add_argument("drill", metavar="SIMULACRO", help="el identificador que muestra «drills list»")
    proof.set_defaults(act=_show_proof)
    for action in (run, listing, proof):
        add_server_options(action)


def _add_bulletins(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    bulletins = commands.add_parser("bulletins", help="boletines para quienes los pidieron")
    actions = bulletins.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    send = actions.add_parser(
        "send", help="envía un boletín; sin --recipients solo dice cuántos lo recibirían"
    )
    send.add_argument("text", metavar="TEXTO", help="hasta 160 caracteres")
    send.add_argument("--group", metavar="GRUPO", default="", help="solo este grupo")
    send.add_argument("--recipients", type=int, metavar="N", help="confirma a cuántas personas llega")
    add_server_options(send)
    send.set_defaults(act=_send_bulletin)


def _add_texts(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    texts = commands.add_parser("texts", help="mensajes que llegan de las personas")
    actions = texts.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    receive = actions.add_parser(
        "receive",
        help="anota un mensaje que llegó a otro teléfono, o ensaya uno; el hub actúa como si llegara",
    )
    receive.add_argument("number", metavar="NÚMERO")
    receive.add_argument("text", metavar="TEXTO")
    receive.set_defaults(act=_receive_text)
    read = actions.add_parser("read", help="qué entendería el hub de un texto; no usa la base de datos")
    read.add_argument("text", metavar="TEXTO")
    read.add_argument("--codes", nargs="*", default=[], metavar="CÓDIGO", help="alertas abiertas, p. ej. K7")
    read.set_defaults(act=_read_text)
    add_server_options(receive)


# -------------------------------------------------------------------------------------------- acts


async def _import_contacts(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.notify import contacts
    from hub.opening import open_database

    async with open_database(settings) as pool:
        report = await contacts.import_csv(pool, arguments.file.read_text("utf-8-sig"))
    print(contacts.render_report(report))
    return 1 if report.problems else 0


async def _list_contacts(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.notify import contacts
    from hub.opening import open_database

    async with open_database(settings) as pool:
        for person in await contacts.everybody(pool, arguments.group):
            state = "activa" if person.active else "se retiró" if person.left_at else "desactivada"
            fields = (
                person.watch_group,
                person.cell,
                person.role,
                person.name,
                contacts.masked(person.phone),
            )
            print("\t".join((*(field or "-" for field in fields), state)))
    return 0


async def _export_contacts(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.notify import contacts
    from hub.opening import open_database

    async with open_database(settings) as pool:
        text = await contacts.export_csv(pool, arguments.group)
    arguments.file.touch(mode=0o600)  # it holds phones
    arguments.file.write_text(text, "utf-8", newline="")
    print(f"{text.count(chr(10)) - 1} personas en {arguments.file}")
    return 0


async def _list_groups(settings: "HubSettings", _arguments: argparse.Namespace) -> int:
    from hub.notify import groups
    from hub.opening import open_database

    after = ""
    async with open_database(settings) as pool:
        while page := await groups.list_groups(pool, after=after):
            for group in page:
                drill = "-" if group.drilled_at is None else f"{group.drill_answered}/{group.drill_called}"
                quorum = f"{group.quorum} en {group.quorum_within_s} s"
                print(f"{group.name}\t{group.members} personas\t{quorum}\t{drill}")
            after = page[-1].name
    return 0


async def _change_group(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify import drills, groups
    from hub.opening import open_database

    async with open_database(settings) as pool:
        group = await groups.get_group(pool, arguments.group)
        if group is None:
            raise groups.GroupError(f"No existe el grupo «{arguments.group}».")
        day = group.drill_day if arguments.drill_day is None else arguments.drill_day or None
        await groups.change_group(
            pool,
            group.name,
            quorum=group.quorum if arguments.quorum is None else arguments.quorum,
            quorum_within_s=group.quorum_within_s if arguments.within is None else arguments.within,
            shows=arguments.shows or group.shows,
            drill_day=day,
            drill_time=arguments.drill_time or group.drill_time,
        )
        await drills.plan(pool, SystemClock().now())
    print(f"{group.name}: guardado")
    return 0


async def _run_drill(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify import drills
    from hub.opening import open_database

    async with open_database(settings) as pool:
        drill_id = await drills.run_now(pool, arguments.group, author=AUTHOR, now=SystemClock().now())
        drill = await drills.get_drill(pool, drill_id)
    called = 0 if drill is None else drill.called
    print(
        f"simulacro {drill_id}: {called} personas avisadas; termina en {drills.LENGTH.seconds // 60} minutos"
    )
    return 0


async def _list_drills(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.notify import drills
    from hub.opening import open_database

    before = None
    async with open_database(settings) as pool:
        while page := await drills.list_drills(pool, watch_group=arguments.group, before=before):
            for drill in page:
                what = drill.device or drill.watch_group
                print(
                    f"{drill.drill_id}\t{drill.planned_at:%Y-%m-%d %H:%M}Z\t{what}\t{drill.state}"
                    f"\t{drill.answered}/{drill.called}"
                )
            before = page[-1].planned_at
    return 0


async def _show_proof(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    import uuid

    from hub.notify import drills
    from hub.opening import open_database

    try:
        drill_id = uuid.UUID(arguments.drill)
    except ValueError:
        raise drills.DrillError(f"«{arguments.drill}» no es el identificador de un simulacro.") from None
    async with open_database(settings) as pool:
        drill = await drills.get_drill(pool, drill_id)
    if drill is None or not drill.snapshot:
        raise drills.DrillError("Ese simulacro no existe o no ha terminado.")
    print(drill.snapshot)
    verdict = "coincide" if drill.is_proof_intact else "NO COINCIDE: la constancia fue alterada"
    print(f"SHA-256 {drill.digest}: {verdict}", file=sys.stderr)
    return 0 if drill.is_proof_intact else 1


async def _send_bulletin(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify import bulletins
    from hub.opening import open_database

    async with open_database(settings) as pool:
        if arguments.recipients is None:
            text = bulletins.checked(arguments.text)
            count = await bulletins.count_recipients(pool, arguments.group)
            print(f"{text}\n{count} personas lo recibirían; para enviarlo agregue --recipients {count}")
            return 0
        bulletin = await bulletins.send(
            pool,
            arguments.group,
            arguments.text,
            confirmed=arguments.recipients,
            author=AUTHOR,
            now=SystemClock().now(),
        )
    print(f"en cola para {bulletin.recipients} personas")
    return 0


async def _receive_text(settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify.inbound import Desk
    from hub.notify.policy import NotifySettings
    from hub.notify.transports import Inbound
    from hub.opening import open_database

    now = SystemClock().now()
    inbound = Inbound(sender=arguments.number, at=now, text=arguments.text)
    async with open_database(settings) as pool:
        await Desk(pool=pool, settings=NotifySettings()).receive("manual", inbound, now)
    print("anotado; el hub en marcha actúa y responde")
    return 0


async def _read_text(_settings: "HubSettings", arguments: argparse.Namespace) -> int:
    from hub.notify.replies import read

    meaning = read(arguments.text, [code.upper() for code in arguments.codes])
    print(f"{meaning.sort}{f' {meaning.code}' if meaning.code else ''}")
    return 0
