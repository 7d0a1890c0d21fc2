"""MQTT 3.1.1 and 5 for the hub: a codec without I/O and a consumer that acknowledges after the commit.

Knows nothing of the hub. ``codec`` turns bytes into packets, ``link`` is one connection, ``client`` makes
it again for ever.
"""

from hub.mqtt.client import Consumer, Counters, Publisher
from hub.mqtt.codec import CUT_BYTES, DEFAULT_LIMIT_BYTES
from hub.mqtt.errors import (
    ConnectionLostError,
    HandlerError,
    MqttError,
    ProtocolError,
    PublishError,
    RefusedError,
)
from hub.mqtt.link import Address
from hub.mqtt.packets import Message

__all__ = [
    "CUT_BYTES",
    "DEFAULT_LIMIT_BYTES",
    "Address",
    "ConnectionLostError",
    "Consumer",
    "Counters",
    "HandlerError",
    "Message",
    "MqttError",
    "ProtocolError",
    "PublishError",
    "Publisher",
    "RefusedError",
]
