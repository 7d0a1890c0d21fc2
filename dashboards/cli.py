"""``almenara-dashboards build|diff|publish|verify``. Exit codes: 0 done, 1 wrong or other, 2 misuse."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dashboards import comparing, provisioning

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105  (the name of a variable)
CONSOLE = "http://127.0.0.1:8480"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="almenara-dashboards", description="Los tableros de Grafana como código."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="ORDEN")
    build = commands.add_parser("build", help="escribe los archivos para el aprovisionamiento de Grafana")
    build.add_argument("folder", type=Path, metavar="CARPETA")
    build.set_defaults(act=_build)
    diff = commands.add_parser("diff", help="dice qué cambia contra una carpeta o un servidor")
    diff.add_argument("folder", type=Path, nargs="?", metavar="CARPETA", help="sin esto, el servidor")
    diff.set_defaults(act=_diff)
    publish = commands.add_parser("publish", help="publica por la API lo que cambia; antes lo muestra")
    publish.add_argument("--dry-run", action="store_true", help="solo muestra")
    publish.set_defaults(act=_publish)
    for action in (build, diff, publish):
        action.add_argument("--console-url", default=CONSOLE, metavar="URL", help=f"la consola ({CONSOLE})")
    for action in (diff, publish):
        action.add_argument(
            "--url", default=os.environ.get("GRAFANA_URL", ""), metavar="URL", help="Grafana; o GRAFANA_URL"
        )
        action.add_argument(
            "--token-file", type=Path, metavar="ARCHIVO", help=f"o la variable {TOKEN_VARIABLE}"
        )
        action.add_argument(
            "--hook-token-file", type=Path, metavar="ARCHIVO", help="token con que Grafana avisa al hub"
        )
    verify = commands.add_parser("verify", help="ejecuta cada consulta de cada tablero y dice qué da")
    from dashboards.verify import cli as verifying

    verifying.add_options(verify)
    verify.set_defaults(act=verifying.verify)
    return top


def _hook(arguments: argparse.Namespace) -> str:
    return f"{arguments.console_url.rstrip('/')}/grafana/alertas"


def _build(arguments: argparse.Namespace) -> int:
    changed = provisioning.write(arguments.folder, arguments.console_url, _hook(arguments))
    for name in changed:
        print(name)
    for name in provisioning.strays(arguments.folder, arguments.console_url, _hook(arguments)):
        print(f"{name}: sobra; bórrelo si no es suyo", file=sys.stderr)
    print(f"{len(changed)} archivos escritos en {arguments.folder}")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    if arguments.folder is not None:
        return _diff_files(arguments)
    return _against_server(arguments, is_dry=True)


def _diff_files(arguments: argparse.Namespace) -> int:
    import json

    count = 0
    for uid, document in provisioning.documents(arguments.console_url).items():
        path = arguments.folder / "dashboards" / f"{uid}.json"
        old = json.loads(path.read_text("utf-8")) if path.is_file() else None
        lines = comparing.difference(old, document, uid)
        count += bool(lines)
        print("\n".join(lines), end="\n" if lines else "")
    print(f"{count} tableros cambian")
    return 1 if count else 0


def _publish(arguments: argparse.Namespace) -> int:
    return _against_server(arguments, is_dry=arguments.dry_run)


def _token(arguments: argparse.Namespace) -> str:
    if arguments.token_file is not None:
        return str(arguments.token_file.read_text("utf-8")).strip()
    return os.environ.get(TOKEN_VARIABLE, "")


def _hook_token(arguments: argparse.Namespace) -> str:
    path = arguments.hook_token_file
    return "" if path is None else str(path.read_text("utf-8")).strip()


def _against_server(arguments: argparse.Namespace, *, is_dry: bool) -> int:
    try:
        from dashboards.publishing import PublishError, Server
    except ModuleNotFoundError as error:
        print(f"falta {error.name}; instale: pip install 'almenara[dashboards]'", file=sys.stderr)
        return 2
    if not arguments.url:
        print("diga qué servidor con --url o GRAFANA_URL", file=sys.stderr)
        return 2
    try:
        server = Server(arguments.url, _token(arguments))
        steps = server.steps(arguments.console_url, _hook(arguments), _hook_token(arguments))
        for step in steps:
            print(f"{step.what}:")
            print("\n".join(f"  {line}" for line in step.lines))
        if is_dry:
            print(f"{len(steps)} cambios; nada se publicó")
            return 1 if steps and arguments.command == "diff" else 0
        server.apply(steps, print)
    except (PublishError, OSError) as error:
        print(f"almenara-dashboards: {error}", file=sys.stderr)
        return 1
    print(f"{len(steps)} cambios publicados")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    code: int = arguments.act(arguments)
    return code
