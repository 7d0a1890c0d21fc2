"""``almenara-hub example``: fill an empty database with years of a fictional commune."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime

from hub.settings import HubSettings

AddOptions = Callable[[argparse.ArgumentParser], None]


def add_example(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    example = commands.add_parser(
        "example", help="llena una base vacía con años de una comuna ficticia: casos, operativos, plan"
    )
    example.add_argument("--years", type=int, default=2, choices=(1, 2, 3), help="cuántos años (2)")
    example.add_argument(
        "--until", type=_day, metavar="AAAA-MM-DD", help="termina antes de este mes (sin esto, el de hoy)"
    )
    example.add_argument(
        "--events", type=_count, default=0, metavar="N", help="señales de dispositivos, por ejemplo 1000000"
    )
    example.add_argument("--seed", type=int, metavar="N", help="la misma semilla da los mismos datos")
    example.add_argument(
        "--freeze", type=_count, default=13, metavar="MESES", help="meses con cifras congeladas (13)"
    )
    add_server_options(example)
    example.set_defaults(act=_example)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"«{text}» no es una fecha AAAA-MM-DD") from error
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError("escriba un número, cero o más")
    return int(text)


async def _example(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.example_years.span import Span
    from hub.example_years.writing import SEED, ExampleError, freeze, periods_of, write
    from hub.opening import open_database

    async def tell(what: str) -> None:
        print(f"  {what} …", file=sys.stderr)

    span = Span.years(arguments.years, arguments.until or datetime.now(UTC))
    seed = SEED if arguments.seed is None else arguments.seed
    async with open_database(settings) as pool:
        try:
            written = await write(pool, span, seed=seed, events=arguments.events, progress=tell)
        except ExampleError as error:
            print(f"example: {error}", file=sys.stderr)
            return 1
        figures = await freeze(pool, periods_of(span, arguments.freeze), span.until, tell)
    print(
        f"comuna ficticia del {span.first} al {span.end}: {written.devices} dispositivos,"
        f" {written.alerts} alertas, {written.operations} operativos, {written.inspections} fiscalizaciones,"
        f" {written.events} señales, {figures} cifras congeladas"
    )
    return 0
