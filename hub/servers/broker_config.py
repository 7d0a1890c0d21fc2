"""The embedded broker's configuration as data: who may connect, and what each may say and hear.

Denied by default. A gateway publishes its own upward topics and hears its own downward ones, nothing else;
the broker drops what it publishes elsewhere. Passwords are derived from the site's secret, so none is stored
besides it and a gateway's stays the same for ever.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge.contract import DOWN, MAX_PAYLOAD_BYTES, PREFIX, UP, check_gateway
from hub.servers import ServerError

HUB_USER = "hub"
# Not a gateway's name by the contract, so no gateway can be called so.
_LABORATORY_USER = "_laboratory"
_SUBJECT = PREFIX.replace("/", ".")

# The broker sends again what is not acknowledged within this time: so long does a message in the hands of a
# killed hub wait for the next one.
_ACK_WAIT = "10s"
# Unacknowledged messages of one subscription. All of them must be committed within the time above, or they
# come twice: 2000 allows for a hub as slow as 200 messages/s, and more made it no faster (measured: 8000).
# The broker grants a session 65535 over all its subscriptions: with that number here it refuses the second.
_MAX_ACK_PENDING = 2000
# Above the contract's limit, so that the hub sees and counts what is too large instead of the sender being
# cut off over and over.
_MAX_PAYLOAD_BYTES = 16 * MAX_PAYLOAD_BYTES
# When the hub is away and this is full, publishers get no PUBACK and keep their messages.
_MAX_STORE_BYTES = 2 * 1024**3
_MAX_MEMORY_BYTES = 64 * 1024**2
_MAX_LOG_BYTES = 8 * 1024**2


def gateway_password(secret: bytes, gateway: str) -> str:
    """What ``gateway`` says to the embedded broker; its user name is its own name."""
    return _derive(secret, f"gateway:{check_gateway(gateway)}")


def hub_password(secret: bytes) -> str:
    return _derive(secret, f"user:{HUB_USER}")


def _derive(secret: bytes, purpose: str) -> str:
    digest = hmac.digest(secret, purpose.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_gateways(names: Iterable[str]) -> frozenset[str]:
    """The names. Raises :class:`ServerError` for one that is taken, ``ContractError`` for what is no name."""
    checked = frozenset(check_gateway(name) for name in names)
    if HUB_USER in checked:
        raise ServerError(f"a gateway cannot be called {HUB_USER!r}: the hub itself is called so")
    return checked


def configuration(
    *, folder: Path, port: int, secret: bytes, gateways: Iterable[str], open_laboratory: bool
) -> dict[str, Any]:
    """Configuration of nats-server 2.12 and later, which reads JSON."""
    users = [_hub(secret), *(_gateway(secret, name) for name in sorted(gateways))]
    config: dict[str, Any] = {
        "server_name": "almenara",
        # NATS' own protocol is not used, and no account may use it; its port cannot be closed.
        "host": "127.0.0.1",
        "port": -1,
        "max_payload": _MAX_PAYLOAD_BYTES,
        "pid_file": str(folder / "nats.pid"),
        "logfile": str(folder / "nats.log"),
        "logfile_size_limit": _MAX_LOG_BYTES,
        "logfile_max_num": 3,
        "jetstream": {
            "store_dir": str(folder / "store"),
            "max_mem": _MAX_MEMORY_BYTES,
            "max_file": _MAX_STORE_BYTES,
        },
        "mqtt": {
            "host": "127.0.0.1",
            "port": port,
            "ack_wait": _ACK_WAIT,
            "max_ack_pending": _MAX_ACK_PENDING,
        },
        "authorization": {"users": users},
    }
    if open_laboratory:
        users.append(_laboratory(secret))
        config["no_auth_user"] = _LABORATORY_USER
    return config


def _hub(secret: bytes) -> dict[str, Any]:
    return _user(HUB_USER, hub_password(secret), ["almenara.>"], ["almenara.>", "almenara"])


def _gateway(secret: bytes, name: str) -> dict[str, Any]:
    return _spokesman(name, gateway_password(secret, name), name)


def _laboratory(secret: bytes) -> dict[str, Any]:
    """Whoever comes without a name may speak for any gateway: for adopting unknown ones."""
    return _spokesman(_LABORATORY_USER, _derive(secret, f"user:{_LABORATORY_USER}"), "*")


def _spokesman(user: str, password: str, gateway: str) -> dict[str, Any]:
    up = [f"{_SUBJECT}.{gateway}.{leaf}" for leaf in UP]
    down = [f"{_SUBJECT}.{gateway}.{leaf}" for leaf in DOWN]
    return _user(user, password, up, down)


def _user(name: str, password: str, publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    return {
        "user": name,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}},
    }
