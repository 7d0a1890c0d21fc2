"""The broker as the administrator's guide sets it up: a certificate for each gateway, topics by identity."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from conftest import wait_for_port
from fakes import eventually
from processes import hub_process

from edge import contract
from hub.servers.child import free_port

GUIDE = (Path(__file__).parent.parent / "docs" / "instalar-hub.md").read_text("utf-8")


def code_block(after: str) -> str:
    """The first code block of the guide after a text."""
    found = re.search(r"```\w*\n(.*?)```", GUIDE[GUIDE.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def openssl(*words: str, folder: Path) -> None:
    subprocess.run(["/usr/bin/openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


class Authority:
    """A certificate authority in a folder, as the guide expects its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755)
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n"
            "certificate=ca.crt\nprivate_key=ca.key\n"
        )
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Autoridad",
            "-keyout", "ca.key", "-out", "ca.crt", folder=folder,
        )  # fmt: skip
        self.issue("broker", "subjectAltName=IP:127.0.0.1")
        self.write_revocations()

    def issue(self, name: str, extension: str = "basicConstraints=CA:FALSE") -> None:
        (self.folder / "ext").write_text(extension)
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", folder=self.folder,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", "ext", "-out", f"{name}.crt", folder=self.folder,
        )  # fmt: skip
        (self.folder / f"{name}.key").chmod(0o644)  # the broker reads its own under another account

    def revoke(self, name: str) -> None:
        openssl("ca", "-config", "ca.cnf", "-revoke", f"{name}.crt", folder=self.folder)
        self.write_revocations()

    def write_revocations(self) -> None:
        openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem", folder=self.folder)


class SecureBroker:
    """Mosquitto with the guide's configuration, moved to a free port and a folder of the test."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.port = free_port()
        store = folder / "store"
        store.mkdir()
        store.chmod(0o777)
        acl = folder / "almenara.acl"
        acl.write_text(code_block("`/etc/mosquitto/almenara.acl`"))
        acl.chmod(0o644)
        text = code_block("`/etc/mosquitto/conf.d/almenara.conf`")
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/etc/almenara", str(authority.folder)).replace(
            "/etc/mosquitto/almenara.acl", str(acl)
        )
        config = folder / "mosquitto.conf"
        config.write_text(f"{text}\npersistence_location {store}/\n")
        log = folder / "mosquitto.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", str(config)], stdout=output, stderr=output
            )
        wait_for_port(self.port, self.process, log)


@pytest.fixture
def authority(server_folder: Path) -> Authority:
    return Authority(server_folder / "pki")


@pytest.fixture
def broker(server_folder: Path, authority: Authority) -> Iterator[SecureBroker]:
    secure = SecureBroker(server_folder, authority)
    yield secure
    secure.process.kill()
    secure.process.wait()


def publish(broker: SecureBroker, authority: Authority, name: str, topic: str, payload: str) -> int:
    """As the gateway ``name``; returns the client's exit code."""
    pki = authority.folder
    return subprocess.run(
        [
            "/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-V", "mqttv5", "-q", "1",
            "--cafile", pki / "ca.crt", "--cert", pki / f"{name}.crt", "--key", pki / f"{name}.key",
            "-t", topic, "-m", payload,
        ],
        capture_output=True, timeout=20, check=False,
    ).returncode  # fmt: skip


def press(id_: str, device: str) -> str:
    given = {"specversion": "1.0", "id": id_, "source": contract.device_urn(device), "type": "panic.pressed"}
    return json.dumps(given | {"time": datetime.now(UTC).isoformat()})


async def test_identity_comes_from_the_certificate(
    broker: SecureBroker, authority: Authority, dsn: str, server_folder: Path
) -> None:
    for name in ("hub", "gw-1", "gw-2"):
        authority.issue(name)
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    await pool.execute("insert into gateways (gateway) values ('gw-1'), ('gw-2')")
    await pool.execute(
        "insert into devices (source, gateway, kind) values ($1, 'gw-1', 'panic_button')",
        contract.device_urn("boton-1"),
    )
    pki, data = authority.folder, server_folder / "data"
    environment = {
        "ALMENARA_HUB_MQTT_CA_FILE": str(pki / "ca.crt"),
        "ALMENARA_HUB_MQTT_CERT_FILE": str(pki / "hub.crt"),
        "ALMENARA_HUB_MQTT_KEY_FILE": str(pki / "hub.key"),
    }
    options = ("--mqtt", f"127.0.0.1:{broker.port}", "--database", dsn, "--data", str(data))
    async with hub_process(server_folder, *options, environment=environment):
        await eventually(lambda: pool.fetchval("select count(listening_since) = 1 from leases"))
        alarm = "almenara/1/gw-1/alarm"
        assert publish(broker, authority, "gw-1", alarm, press("1", "boton-1")) == 0
        await eventually(lambda: pool.fetchval("select count(*) = 1 from events"))
        # gw-2 has a certificate of its own and may not speak in the name of gw-1.
        publish(broker, authority, "gw-2", alarm, press("2", "boton-1"))
        await _an_agent_delivers(broker, pki, server_folder / "edge", pool)
        authority.revoke("gw-1")
        os.kill(broker.process.pid, signal.SIGHUP)
        await eventually(lambda: publish(broker, authority, "gw-1", alarm, press("3", "boton-1")) != 0)
        stored = await pool.fetch(
            "select coalesce(event_id, '') as id from events where type = 'panic.pressed'"
        )
        assert [r["id"] for r in stored] == ["1"]
    await pool.close()


async def _an_agent_delivers(broker: SecureBroker, pki: Path, folder: Path, pool: asyncpg.Pool) -> None:
    """A real gateway over TLS: its health telemetry arrives and is confirmed."""
    folder.mkdir()  # noqa: ASYNC240 - once, before anything runs
    config = folder / "edge.toml"
    config.write_text(
        f'gateway = "gw-1"\ndata_dir = "{folder}"\nhealth_interval_s = 1\n[mqtt]\nport = {broker.port}\n'
        f'ca_file = "{pki}/ca.crt"\ncert_file = "{pki}/gw-1.crt"\nkey_file = "{pki}/gw-1.key"\n'
    )
    await pool.execute(
        "insert into devices (source, gateway, kind) values ($1, 'gw-1', 'gateway')",
        contract.device_urn("gw-1"),
    )
    await pool.execute("notify devices")
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.cli", "run", "--config", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(lambda: pool.fetchval("select count(*) > 0 from telemetry"))
        assert await eventually(
            lambda: pool.fetchval("select state = 'online' from gateways where gateway = 'gw-1'")
        )
    finally:
        agent.terminate()
        await agent.wait()
