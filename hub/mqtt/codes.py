"""Reason codes in words. Sources: MQTT 3.1.1 table 3.1, MQTT 5 section 2.4."""

_V3_CONNACK = {
    1: "protocol version not supported",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
_V3_SUBACK = {0x80: "refused"}
_V5 = {
    # A 3.1.1 broker answers a version 5 CONNECT with its own code.
    0x01: "protocol version not supported (this broker speaks 3.1.1: set version 4)",
    0x10: "no matching subscribers",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "protocol version not supported (this broker speaks 3.1.1: set version 4)",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over: another client uses the same client id",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}

TRANSIENT = frozenset({0x83, 0x89, 0x91, 0x93, 0x96, 0x97})
"""Codes of a refused PUBLISH that may succeed later."""


def words(version: int, code: int) -> str:
    """``code`` as text with its number, for a log line."""
    table = _V5 if version == 5 else _V3_CONNACK | _V3_SUBACK
    return f"{table.get(code, 'unknown reason')} (0x{code:02X})"
