"""A NATS JetStream cluster on loopback: three processes of the embedded broker's binary, MQTT on each."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.faults.programs import Program
from hub.servers import broker
from hub.servers.child import free_port

NODES = 3
_READY_S = 30.0
_MIB = 1024**2


class Node(Program):
    """One server. Its store outlives ``kill -9``; :meth:`launch` starts it again on the same ports."""

    def __init__(self, name: str, folder: Path, ports: dict[str, int]) -> None:
        folder.mkdir()
        self.ports = ports
        self._configuration = folder / "nats.conf"
        self._folder = folder
        super().__init__(name, [str(broker.program()), "-c", str(self._configuration)], folder / "nats.log")

    def configure(self, routes: Sequence[int], accounts: Mapping[str, str]) -> None:
        """``routes`` are the cluster ports of all nodes; ``accounts`` are communes with their passwords."""
        config: dict[str, Any] = {
            "server_name": self.name,
            "host": "127.0.0.1",
            "port": self.ports["nats"],
            "http": f"127.0.0.1:{self.ports['monitor']}",
            "max_payload": 4 * _MIB,
            "jetstream": {
                "store_dir": str(self._folder / "store"),
                "max_mem": 256 * _MIB,
                "max_file": 16384 * _MIB,
            },
            "cluster": {
                "name": "almenara",
                "host": "127.0.0.1",
                "port": self.ports["cluster"],
                "routes": [f"nats://127.0.0.1:{port}" for port in routes],
            },
            "mqtt": {
                "host": "127.0.0.1",
                "port": self.ports["mqtt"],
                "ack_wait": "10s",
                "max_ack_pending": 2000,
                "stream_replicas": NODES,
                "consumer_replicas": NODES,
            },
        }
        if accounts:
            config["accounts"] = {
                name: {"jetstream": "enabled", "users": [{"user": name, "password": password}]}
                for name, password in accounts.items()
            }
        self._configuration.write_text(json.dumps(config))

    def look(self, what: str) -> dict[str, Any]:
        """The node's own monitoring, such as ``healthz`` or ``jsz?meta=1``; empty when it does not answer."""
        with suppress(OSError, ValueError):
            url = f"http://127.0.0.1:{self.ports['monitor']}/{what}"
            with urllib.request.urlopen(url, timeout=1) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        return {}

    def is_ready(self) -> bool:
        """The cluster has a leader and the node has caught up with it, by its own word."""
        has_leader = bool(self.look("jsz").get("meta_cluster", {}).get("leader"))
        return has_leader and self.look("healthz").get("status") == "ok"


class NatsCluster:
    """:meth:`start` returns when all nodes are healthy.

    Each of ``accounts`` (name and password) has subjects and streams of its own; without any, all share.
    """

    def __init__(self, folder: Path, accounts: Mapping[str, str] | None = None) -> None:
        kinds = ("nats", "monitor", "cluster", "mqtt")
        folder.mkdir(exist_ok=True)
        self.nodes = [
            Node(f"node-{k + 1}", folder / f"node-{k + 1}", {kind: free_port() for kind in kinds})
            for k in range(NODES)
        ]
        routes = [node.ports["cluster"] for node in self.nodes]
        for node in self.nodes:
            node.configure(routes, accounts or {})

    async def start(self) -> None:
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            await self.until_ready(node)

    async def stop(self) -> None:
        """At once: what is on disk is thrown away by the caller."""
        for node in self.nodes:
            await node.kill()

    async def until_ready(self, node: Node) -> None:
        async with asyncio.timeout(_READY_S):
            while not await asyncio.to_thread(node.is_ready):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    @property
    def mqtt_option(self) -> str:
        return ",".join(f"127.0.0.1:{node.ports['mqtt']}" for node in self.nodes)

    @property
    def nats_option(self) -> str:
        return ",".join(f"127.0.0.1:{node.ports['nats']}" for node in self.nodes)

    def leader_of(self, stream: str) -> Node | None:
        """The node that takes the stream's messages at the moment."""
        for node in self.nodes:
            for account in node.look("jsz?streams=1").get("account_details", []):
                for found in account.get("stream_detail", []):
                    if found["name"] == stream:
                        leader = found.get("cluster", {}).get("leader")
                        return next((n for n in self.nodes if n.name == leader), None)
        return None
