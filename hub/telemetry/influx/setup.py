"""Buckets of the server as the settings want them: one for readings, one for each rollup."""

from hub.telemetry import Keep
from hub.telemetry.influx.server import InfluxServer, keep_s

_DAY_S = 86_400


async def set_up(server: InfluxServer, keep: Keep) -> list[str]:
    """Make what is missing and mend what differs; returns what was done, in Spanish."""
    done: list[str] = []
    for resolution, bucket in (await server.buckets()).items():
        wanted = keep_s(resolution, keep)
        name = server.bucket(resolution)
        if bucket is None:
            await server.create(resolution, wanted)
            done.append(f"bucket {name}: creado, conserva {wanted // _DAY_S} días")
        elif bucket.keep_s != wanted:
            await server.set_retention(bucket, wanted)
            done.append(f"bucket {name}: ahora conserva {wanted // _DAY_S} días")
        else:
            done.append(f"bucket {name}: está bien")
    return done


async def problems(server: InfluxServer, keep: Keep) -> list[str]:
    """What :func:`set_up` would change, in Spanish."""
    found: list[str] = []
    for resolution, bucket in (await server.buckets()).items():
        name = server.bucket(resolution)
        if bucket is None:
            found.append(f"falta el bucket {name}; corra: almenara-hub telemetry setup")
        elif bucket.keep_s != (wanted := keep_s(resolution, keep)):
            found.append(
                f"el bucket {name} conserva {bucket.keep_s // _DAY_S} días y debe conservar"
                f" {wanted // _DAY_S}; corra: almenara-hub telemetry setup"
            )
    return found
