"""Servers that the hub brings along: PostgreSQL and an MQTT broker, as child processes on loopback."""


class ServerError(Exception):
    """An embedded server cannot run; the message says what to do."""
