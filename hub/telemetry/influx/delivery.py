"""Lines to the server, whatever some of them look like."""

from collections.abc import Callable

from hub.telemetry import Resolution
from hub.telemetry.influx.lines import split
from hub.telemetry.influx.server import InfluxServer, RefusedLinesError

OnRejected = Callable[[bytes, str], None]


async def deliver(
    server: InfluxServer, resolution: Resolution, lines: bytes, on_rejected: OnRejected
) -> None:
    """Write lines; where the server refuses some, halve them until the bad ones stand alone.

    The good ones of a refused request may have been taken or not: sending them again does no harm.
    ``on_rejected`` hears each bad line and the reason. Raises :class:`TelemetryError` for all other trouble.
    """
    try:
        await server.write(resolution, lines)
    except RefusedLinesError as error:
        single = split(lines)
        if len(single) <= 1:
            on_rejected(lines, str(error))
            return
        middle = len(single) // 2
        await deliver(server, resolution, b"\n".join(single[:middle]), on_rejected)
        await deliver(server, resolution, b"\n".join(single[middle:]), on_rejected)
