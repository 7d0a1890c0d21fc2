"""Telemetry in InfluxDB 2. Its client library is loaded only where it is used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Where the server is and what opens it. ``ca_file`` empty: the machine's own authorities."""

    url: str
    org: str
    bucket: str
    token: str
    ca_file: str = ""
