"""Which version of MQTT a broker speaks."""

import dataclasses
import logging

from hub.mqtt import packets
from hub.mqtt.errors import MqttError, ProtocolError, RefusedError
from hub.mqtt.link import Address, open_link

log = logging.getLogger(__name__)

# CONNACK: 1 in 3.1.1 (3.2.2.3) and 0x84 in 5 (3.2.2.2) mean "this protocol version is not spoken here".
_NOT_SPOKEN = frozenset({1, 0x84})


async def negotiated(address: Address, client_id: str) -> Address:
    """The address with version 5, or 4 (MQTT 3.1.1) where the broker refuses 5.

    A broker that does not answer is taken for one that speaks 5: the loops that follow wait for it.
    """
    modern = dataclasses.replace(address, version=5)
    connect = packets.connect(
        5,
        client_id,
        keepalive_s=address.keepalive_s,
        clean_start=True,
        session_expiry_s=0,
        username=address.username,
        password=address.password,
    )
    try:
        link = await open_link(modern, connect, 1, lambda: None)
    except (RefusedError, ProtocolError) as error:
        # An old broker may answer a version 5 CONNECT in the words of 3.1.1, which is a protocol error here.
        if isinstance(error, RefusedError) and error.code not in _NOT_SPOKEN:
            return modern
        log.info("the broker does not speak MQTT 5; using 3.1.1")
        return dataclasses.replace(address, version=4)
    except MqttError as error:
        log.warning("the broker's MQTT version is not known yet (%s); taking 5", error)
        return modern
    await link.close()
    return modern
