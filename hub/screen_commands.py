"""``almenara-hub users screen …``: the screens on the wall."""

import argparse
import sys
from collections.abc import Callable

from hub.settings import HubSettings

AddOptions = Callable[[argparse.ArgumentParser], None]

_STATES = {
    "waiting": "espera que se escriba su clave",
    "on": "conectada desde el {since:%d-%m-%Y}",
    "ended": "su sesión terminó; pida una clave nueva",
    "revoked": "revocada",
}


def add_screens(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    screen = actions.add_parser("screen", help="pantallas de pared: solo ven /sala")
    deeds = screen.add_subparsers(dest="deed", required=True, metavar="QUÉ")
    for name, act, help_text in (
        ("add", _add, "crea una pantalla y muestra su clave, que sirve una vez"),
        ("key", _key, "da otra clave y cierra la sesión que tenía"),
        ("revoke", _revoke, "cierra su sesión y la deshabilita"),
        ("list", _list, "muestra las pantallas y en qué están"),
    ):
        deed = deeds.add_parser(name, help=help_text)
        if name != "list":
            deed.add_argument("login", metavar="USUARIO", help="por ejemplo sala-1")
        if name == "add":
            deed.add_argument("--name", required=True, metavar="NOMBRE", help="dónde está")
        add_server_options(deed)
        deed.set_defaults(act=act)


def _say_key(login: str, key: str) -> None:
    sys.stdout.write(
        f"usuario: {login}\nclave:   {key}\n"
        "Ingrese una vez en la pantalla, en /sala. La clave no sirve de nuevo ni se puede volver a ver.\n"
    )


async def _add(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.opening import open_database
    from hub.web import screens

    async with open_database(settings) as pool:
        key = await screens.add(pool, arguments.login, arguments.name, SystemClock().now())
    _say_key(arguments.login, key)
    return 0


async def _key(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.opening import open_database
    from hub.web import screens

    async with open_database(settings) as pool:
        key = await screens.new_key(pool, arguments.login, SystemClock().now())
    _say_key(arguments.login, key)
    return 0


async def _revoke(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.opening import open_database
    from hub.web import screens

    async with open_database(settings) as pool:
        await screens.revoke(pool, arguments.login, SystemClock().now())
    sys.stdout.write(f"pantalla revocada: {arguments.login}\n")
    return 0


async def _list(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.clock import SystemClock
    from hub.opening import open_database
    from hub.web import screens

    async with open_database(settings) as pool:
        for one in await screens.list_screens(pool, SystemClock().now()):
            sys.stdout.write(f"{one.login}\t{one.name}\t{_STATES[one.state].format(since=one.since)}\n")
    return 0
