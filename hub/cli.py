"""Command ``almenara-hub``. Exit codes: 0 done, 1 something failed and is named, 2 wrong use or settings."""

import argparse
import asyncio
import gc
import getpass
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.alerts.catalogue import Code

try:
    from hub.dashboard_commands import add_dashboards
    from hub.example_years.cli import add_example
    from hub.fieldwork.cli import add_fieldwork
    from hub.notify.cli import add_people
    from hub.notify.transports.modem.cli import add_sms
    from hub.operations.cli import add_operations
    from hub.papers.cli import add_papers
    from hub.plan.cli import add_plan
    from hub.registers.cli import add_registers
    from hub.rule_work.cli import add_rules
    from hub.screen_commands import add_screens
    from hub.settings import HubSettings, SettingsError, load
    from hub.telemetry_commands import add_telemetry
    from hub.web.permissions import ROLES
except ModuleNotFoundError as error:  # a gateway's installation holds the edge alone
    sys.exit(f"almenara-hub: falta {error.name}; instale el hub con: pip install 'almenara[hub]'")

Act = Callable[[HubSettings, argparse.Namespace], Awaitable[int]]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="almenara-hub", description="Hub de Almenara: del botón a la central.")
    top.add_argument("--config", type=Path, metavar="ARCHIVO", help="configuración en TOML")
    top.add_argument(
        "--log", default="info", choices=["debug", "info", "warning", "error"], help="detalle del registro"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="ORDEN")

    serve = commands.add_parser("serve", help="ejecuta el hub en primer plano")
    _add_server_options(serve)
    serve.add_argument("--http", metavar="HOST:PUERTO", help="dirección de la consola (127.0.0.1:8480)")
    serve.add_argument(
        "--role", choices=["all", "intake", "notify", "web"], help="tareas de este proceso (all)"
    )
    serve.add_argument("--shards", type=int, metavar="N", help="partes que se reparten varios hubs (1)")
    serve.add_argument(
        "--adopt-unknown-gateways",
        action="store_const",
        const=True,
        help="solo laboratorio: registra lo desconocido al primer contacto",
    )
    serve.set_defaults(act=_serve)

    demo = commands.add_parser("demo", help="una comuna ficticia completa en esta máquina")
    demo.add_argument(
        "--for", dest="for_s", type=float, metavar="SEGUNDOS", help="termina solo tras este tiempo"
    )
    demo.add_argument("--json", action="store_true", help="escribe el resultado como JSON en la última línea")
    demo.add_argument("--data", type=Path, metavar="CARPETA", help="conserva los datos en esta carpeta")
    demo.add_argument(
        "--http", metavar="HOST:PUERTO", default="127.0.0.1:8480", help="dirección de la consola"
    )
    demo.add_argument(
        "--kill-broker",
        type=int,
        default=0,
        metavar="N",
        help="mata N veces el broker y borra su memoria (ensayo)",
    )
    demo.set_defaults(act=_demo)

    _add_devices(commands)
    add_people(commands, _add_server_options)
    _add_policies(commands)
    _add_catalogue(commands)
    _add_oncall(commands)
    add_rules(commands, _add_server_options)
    add_sms(commands)
    add_plan(commands, _add_server_options)
    add_fieldwork(commands, _add_server_options)
    add_operations(commands, _add_server_options)
    add_registers(commands, _add_server_options)
    add_example(commands, _add_server_options)
    add_papers(commands, _add_server_options)
    add_telemetry(commands, _add_server_options)
    add_dashboards(commands, _add_server_options)
    _add_users(commands)
    return top


def _add_server_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--mqtt", metavar="HOST:PUERTO", help="broker MQTT existente; sin esto, el incluido")
    sub.add_argument("--database", metavar="DSN", help="PostgreSQL existente; sin esto, el incluido")
    sub.add_argument("--data", type=Path, metavar="CARPETA", help="carpeta de datos (data)")


def _add_devices(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    devices = commands.add_parser("devices", help="registro de gateways y dispositivos")
    actions = devices.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    importing = actions.add_parser("import", help="importa o actualiza desde un archivo CSV o TOML")
    importing.add_argument("file", type=Path, metavar="ARCHIVO")
    _add_server_options(importing)
    importing.set_defaults(act=_import_devices)
    listing = actions.add_parser("list", help="muestra los dispositivos registrados")
    _add_server_options(listing)
    listing.set_defaults(act=_list_devices)
    credential = actions.add_parser("credential", help="usuario y clave de un gateway en el broker incluido")
    credential.add_argument("gateway", metavar="GATEWAY")
    _add_server_options(credential)
    credential.set_defaults(act=_credential)


def _add_policies(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    policies = commands.add_parser("policies", help="qué se hace cuando nadie toma una alerta")
    actions = policies.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    check = actions.add_parser(
        "check", help="revisa un archivo de políticas; sin archivo, muestra las propias"
    )
    check.add_argument("file", type=Path, nargs="?", metavar="ARCHIVO")
    check.add_argument(
        "--people", action="store_true", help="revisa también que los calendarios y grupos tengan personas"
    )
    _add_server_options(check)
    check.set_defaults(act=_check_policies)


def _add_catalogue(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    catalogue = commands.add_parser("catalogue", help="códigos con que se clasifican las alertas")
    actions = catalogue.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    check = actions.add_parser("check", help="revisa un catálogo propio y muestra qué cambia")
    check.add_argument("file", type=Path, metavar="ARCHIVO")
    check.set_defaults(act=_check_catalogue)
    listing = actions.add_parser("list", help="muestra los códigos vigentes y los retirados")
    _add_server_options(listing)
    listing.set_defaults(act=_list_catalogue)


def _add_oncall(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    oncall = commands.add_parser("oncall", help="turnos de guardia")
    actions = oncall.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    for name, act, help_text in (
        ("import", _import_oncall, "reemplaza un calendario por un archivo iCalendar (.ics)"),
        ("export", _export_oncall, "escribe un calendario como iCalendar (.ics)"),
        ("show", _show_oncall, "quién está de guardia y qué horas quedan sin nadie (14 días)"),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("calendar", metavar="CALENDARIO", help="por ejemplo jefe_turno")
        if name != "show":
            action.add_argument("file", type=Path, metavar="ARCHIVO")
        _add_server_options(action)
        action.set_defaults(act=act)


def _add_users(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    users = commands.add_parser("users", help="personas que entran a la consola")
    actions = users.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    add = actions.add_parser("add", help="crea una cuenta; la clave se pide o llega por la entrada estándar")
    add.add_argument("login", metavar="USUARIO")
    add.add_argument("--name", required=True, metavar="NOMBRE")
    add.add_argument(
        "--institution", default="DSP", metavar="INSTITUCIÓN", help="de quién son los operativos que ve (DSP)"
    )
    # not ``role``: that is the task of a hub's process
    add.add_argument(
        "--role", dest="account_role", required=True, choices=[role for role in ROLES if role != "pantalla"]
    )
    _add_server_options(add)
    add.set_defaults(act=_add_user)
    password = actions.add_parser("password", help="cambia la clave de una cuenta")
    password.add_argument("login", metavar="USUARIO")
    _add_server_options(password)
    password.set_defaults(act=_set_password)
    add_screens(actions, _add_server_options)


# ------------------------------------------------------------------------------------------- acts


async def _serve(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    gc.disable()  # nothing that an import makes is garbage, and looking for it is a quarter of the time
    try:
        from hub import app
    finally:
        gc.enable()
    return await app.serve_until_signal(settings)


async def _demo(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub import demo

    return await demo.run(
        settings,
        for_s=arguments.for_s,
        as_json=arguments.json,
        data=arguments.data,
        kill_broker=arguments.kill_broker,
    )


async def _import_devices(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.devices import importing
    from hub.opening import open_database

    async with open_database(settings) as pool:
        report = await importing.import_file(pool, arguments.file)
    print(importing.render_report(report))
    return 1 if report.problems else 0


async def _list_devices(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.devices import service
    from hub.opening import open_database

    after = None
    async with open_database(settings) as pool:
        while page := await service.list_devices(pool, limit=500, after=after):
            for row in page:
                print(f"{row.source}\t{row.gateway}\t{row.kind}\t{row.name}\t{row.state}")
            after = page[-1].device_id
    return 0


async def _credential(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from edge.contract import check_gateway
    from hub.opening import broker_folder
    from hub.servers.broker import gateway_password, site_secret

    check_gateway(arguments.gateway)
    password = gateway_password(site_secret(broker_folder(settings)), arguments.gateway)
    print(f"usuario: {arguments.gateway}\nclave:   {password}")
    return 0


async def _check_policies(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.notify import policy_file
    from hub.opening import open_database

    if arguments.file is None:
        print(policy_file.default_text(), end="")
        return 0
    policies = policy_file.load(arguments.file)
    print(policy_file.render(policies))
    if not arguments.people:
        return 0
    async with open_database(settings) as pool:
        unknown = await policy_file.unknown_targets(pool, policies)
    for problem in unknown:
        print(problem, file=sys.stderr)
    return 1 if unknown else 0


async def _check_catalogue(_settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.alerts import catalogue

    before, after = catalogue.load(), catalogue.load(arguments.file)
    for code in after.codes:
        if (was := before.by_code.get(code.code)) != code:
            print(f"{'cambia' if was else 'nuevo'}\t{_code_line(code)}")
    print(f"Correcto: {len(after.codes)} códigos.")
    return 0


async def _list_catalogue(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.alerts import catalogue

    own = settings.data / catalogue.FILE
    for code in catalogue.load(own if own.is_file() else None).codes:
        print(_code_line(code))
    return 0


def _code_line(code: "Code") -> str:
    marks = ["reservado"] * code.is_restricted + ["retirado"] * code.retired
    return "\t".join([code.code, f"P{code.priority}", code.competence, code.label, code.legal, *marks])


async def _import_oncall(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.notify import calendar_file, calendars
    from hub.opening import open_database

    async with open_database(settings) as pool:
        report = await calendars.import_ics(
            pool, arguments.calendar, arguments.file.read_text("utf-8-sig"), author="línea de órdenes"
        )
    for line in (
        f"{arguments.calendar}: {report.turns} turnos.",
        *calendar_file.problem_lines(report.problems),
    ):
        print(line)
    return 1 if report.problems else 0


async def _export_oncall(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify import calendars
    from hub.opening import open_database

    async with open_database(settings) as pool:
        text = await calendars.export_ics(pool, arguments.calendar, SystemClock().now())
    arguments.file.write_text(text, "utf-8", newline="")
    return 0


async def _show_oncall(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.notify import calendars
    from hub.opening import open_database

    async with open_database(settings) as pool:
        for line in await calendars.show(pool, arguments.calendar, SystemClock().now()):
            print(line)
    return 0


async def _add_user(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.web import users

    password = _read_password()
    async with open_database(settings) as pool:
        await users.create_user(
            pool, arguments.login, arguments.name, arguments.account_role, password, arguments.institution
        )
    print(f"cuenta creada: {arguments.login}")
    return 0


async def _set_password(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.web import users

    password = _read_password()
    async with open_database(settings) as pool:
        await users.set_password(pool, arguments.login, password)
    print(f"clave cambiada: {arguments.login}")
    return 0


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return getpass.getpass("Clave nueva: ")


# ------------------------------------------------------------------------------------------- main


def _run(act: Act, settings: HubSettings, arguments: argparse.Namespace) -> int:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(act(settings, arguments))  # type: ignore[arg-type]


def _user_errors() -> tuple[type[Exception], ...]:
    """Errors that the person at the keyboard can mend: shown as one line, without a traceback."""
    from edge.contract import ContractError
    from hub.alerts.catalogue import CatalogueError
    from hub.database import DatabaseError
    from hub.notify.bulletins import BulletinError
    from hub.notify.calendars import CalendarError
    from hub.notify.drills import DrillError
    from hub.notify.groups import GroupError
    from hub.notify.policy_file import PolicyFileError
    from hub.opening import HubError
    from hub.plan.errors import PlanError
    from hub.servers import ServerError
    from hub.telemetry import TelemetryError
    from hub.web.assets import AssetsMissingError
    from hub.web.server import WebServerError
    from hub.web.users import UserError

    return (
        AssetsMissingError,
        HubError,
        WebServerError,
        DatabaseError,
        ServerError,
        TelemetryError,
        UserError,
        BulletinError,
        CalendarError,
        DrillError,
        GroupError,
        PolicyFileError,
        CatalogueError,
        PlanError,
        ContractError,
        FileNotFoundError,
        PermissionError,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    names = ("mqtt", "database", "data", "http", "adopt_unknown_gateways", "role", "shards")
    try:
        settings = load(arguments.config, **{name: getattr(arguments, name, None) for name in names})
    except SettingsError as error:
        print(f"almenara-hub: ajuste incorrecto\n{error}", file=sys.stderr)
        return 2
    return_code = 0
    try:
        return_code = _run(arguments.act, settings, arguments)
    except* KeyboardInterrupt:
        return_code = 130
    except* _user_errors() as group:
        for leaf in _leaves(group):
            print(f"almenara-hub: {leaf}", file=sys.stderr)
        return_code = 1
    return return_code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
