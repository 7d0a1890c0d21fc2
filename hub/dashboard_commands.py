"""``almenara-hub dashboards …``: the role with which Grafana reads."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hub.settings import HubSettings

AddOptions = Callable[[argparse.ArgumentParser], None]
PASSWORD_VARIABLE = "ALMENARA_GRAFANA_DB_PASSWORD"  # noqa: S105 - the name of a variable


def add_dashboards(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    dashboards = commands.add_parser("dashboards", help="lo que Grafana puede leer")
    actions = dashboards.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    role = actions.add_parser("role", help="crea o actualiza el rol grafana_ro, que solo lee las vistas")
    role.add_argument(
        "--password-file",
        type=Path,
        metavar="ARCHIVO",
        help=f"archivo con la clave; sin esto, la variable {PASSWORD_VARIABLE}",
    )
    role.add_argument(
        "--admin",
        metavar="DSN",
        help="cuenta que puede crear roles en ese PostgreSQL; en el incluido no hace falta",
    )
    add_server_options(role)
    role.set_defaults(act=_role)


def _password(path: Path | None) -> str:
    return os.environ.get(PASSWORD_VARIABLE, "") if path is None else path.read_text("utf-8").strip()


async def _role(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.database import connect
    from hub.database.readers import ROLE, keep_reader
    from hub.opening import open_database, postgres_folder
    from hub.servers.postgres import EmbeddedPostgres

    password = await asyncio.to_thread(_password, arguments.password_file)
    async with open_database(settings) as pool:
        admin = arguments.admin or settings.database.get_secret_value()
        if not admin:
            port = await asyncio.to_thread((postgres_folder(settings) / "port").read_text)
            server = EmbeddedPostgres(postgres_folder(settings), port=int(port))
            name = await pool.fetchval("select current_database()")
            admin = f"{server.admin_dsn.rpartition('/')[0]}/{name}"
        owner = await connect(admin, max_size=1)
        try:
            async with owner.acquire() as connection:
                is_new = await keep_reader(connection, password)
        finally:
            await owner.close()
    sys.stdout.write(
        f"rol {ROLE} {'creado' if is_new else 'actualizado'}: lee las vistas de panels y nada más\n"
    )
    return 0
