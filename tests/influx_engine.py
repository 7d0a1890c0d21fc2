"""InfluxDB for tests: Debian's engine 1.6.7, and before it a shim of ours that speaks version 2's API.

A real InfluxDB 2 cannot be had from Debian, PyPI or npm. What is real here: the storage engine (TSM, its
write-ahead log, kill -9), its parser of line protocol, types of fields, InfluxQL, passwords. What the shim
stands in for, after the sources of version 2.7: ``Token`` authorisation, buckets over databases and retention
policies, status 422 for a partial write, 404 for an unknown bucket, a whole request refused for one line that
cannot be parsed. What neither shows: version 2's permissions, mappings, quotas, and its speed.
"""

import asyncio
import signal
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.series_servers import influx_config
from hub.servers import process
from hub.servers.child import free_port

USER, PASSWORD = "hub", "clave-de-prueba"
ORG = "comuna"
TOKEN = f"{USER}:{PASSWORD}"
_SCRATCH = "shim_scratch"


class InfluxEngine:
    """Debian's ``influxd`` below ``root``, on the same port from start to start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(mode=0o700)
        config = influx_config(root, self.port, has_accounts=True)
        (root / "influxdb.conf").write_text(config)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it answers."""
        with (self.root / "influxd.log").open("ab") as output:
            self._process = process.launch(
                ["/usr/bin/influxd", "run", "-config", self.root / "influxdb.conf"],
                account=None,
                death_signal=signal.SIGKILL,
                output=output,
            )
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while not await self._answers(session):
                assert self._process.poll() is None, (self.root / "influxd.log").read_text()[-2000:]
                await asyncio.sleep(0.02)
            create = f"create user \"{USER}\" with password '{PASSWORD}' with all privileges"
            async with session.post(f"{self.url}/query", data={"q": create}) as response:
                await response.read()

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/ping") as response:
                return response.status == 204
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        await process.ended(self._process)


class Shim:
    """Version 2's API before the engine; an async context, listening on ``url``."""

    def __init__(self, engine: InfluxEngine) -> None:
        self.engine = engine
        self.port = free_port()
        self.requests = 0
        self._bucket_ids: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Shim":
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/api/v2/write", self._write)
        app.router.add_post("/query", self._query)
        app.router.add_get("/ping", self._ping)
        app.router.add_get("/api/v2/orgs", self._orgs)
        app.router.add_get("/api/v2/buckets", self._list_buckets)
        app.router.add_post("/api/v2/buckets", self._create_bucket)
        app.router.add_patch("/api/v2/buckets/{id}", self._change_bucket)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    # --------------------------------------------------------------------------------- the engine

    async def _engine(self, path: str, token: str, **content: Any) -> tuple[int, dict[str, Any]]:
        user, _, password = token.partition(":")
        headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        try:
            async with self._session.post(self.engine.url + path, headers=headers, **content) as response:
                body = await response.json() if response.status != 204 else {}
                return response.status, body
        except aiohttp.ClientConnectionError:
            return 503, {"error": "the engine is away"}

    async def _ql(self, statement: str, token: str = TOKEN) -> list[dict[str, Any]]:
        status, body = await self._engine("/query", token, data={"q": statement})
        assert status == 200, body
        assert "error" not in body["results"][0], body
        return list(body["results"][0].get("series", []))

    # ------------------------------------------------------------------------------------- writes

    async def _write(self, request: web.Request) -> web.Response:
        self.requests += 1
        token = request.headers.get("Authorization", "").removeprefix("Token ")
        precision = {"us": "u", "ns": "ns", "ms": "ms", "s": "s"}[request.query.get("precision", "ns")]
        if request.query.get("org") != ORG:
            return _error(404, "not found", f"organization name {request.query.get('org')!r} not found")
        bucket, body = request.query["bucket"], await request.read()
        # Version 1 keeps the good lines of a body that holds a bad one, version 2 none: so the parser looks
        # at it first, with a database that nobody reads.
        await self._engine("/query", TOKEN, data={"q": f'create database "{_SCRATCH}"'})
        status, found = await self._engine(
            "/write", token, params={"db": _SCRATCH, "precision": precision}, data=body
        )
        if status == 400 and "unable to parse" in found["error"]:
            return _error(400, "invalid", found["error"])
        database, _, policy = bucket.partition("/")
        params = {"db": database, "precision": precision} | ({"rp": policy} if policy else {})
        status, found = await self._engine("/write", token, params=params, data=body)
        message = found.get("error", "")
        if status == 400 and "partial write" in message:
            return _error(422, "unprocessable entity", f"failure writing points to database: {message}")
        if status == 404 or "retention policy not found" in message:
            return _error(404, "not found", f'bucket "{bucket}" not found')
        if status in (401, 403):
            return _error(401, "unauthorized", "unauthorized access")
        return web.Response(status=204) if status == 204 else _error(status, "error", message)

    async def _query(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Token ")
        form = dict(await request.post())
        status, body = await self._engine("/query", token, data=form)
        return web.json_response(body, status=status)

    async def _ping(self, _request: web.Request) -> web.Response:
        status, _ = await self._engine("/query", TOKEN, data={"q": "show databases"})
        if status == 503:
            return web.Response(status=503)
        return web.Response(status=204, headers={"X-Influxdb-Version": "v2.7.12 (shim)"})

    # ------------------------------------------------------------------------------------ buckets

    async def _orgs(self, request: web.Request) -> web.Response:
        orgs = [{"id": "0000000000000001", "name": ORG}] if request.query.get("org") == ORG else []
        return web.json_response({"orgs": orgs})

    async def _policies(self, database: str) -> dict[str, int]:
        """Retention policy → seconds, 0 for ever; none where the database is missing."""
        databases = await self._ql("show databases")
        if [database] not in databases[0].get("values", []):
            return {}
        rows = (await self._ql(f'show retention policies on "{database}"'))[0]["values"]
        return {row[0]: _seconds(row[1]) for row in rows}

    async def _list_buckets(self, request: web.Request) -> web.Response:
        name = request.query["name"]
        database, _, policy = name.partition("/")
        policies = await self._policies(database)
        key = policy or "autogen"
        if key not in policies:
            return web.json_response({"buckets": []})
        return web.json_response({"buckets": [self._described(name, policies[key])]})

    def _described(self, name: str, keep_s: int) -> dict[str, Any]:
        id_ = urllib.parse.quote(name, safe="")
        self._bucket_ids[id_] = name
        rules = [{"type": "expire", "everySeconds": keep_s}] if keep_s else []
        return {"id": id_, "name": name, "retentionRules": rules}

    async def _create_bucket(self, request: web.Request) -> web.Response:
        content = await request.json()
        name, keep_s = content["name"], content["retentionRules"][0]["everySeconds"]
        database, _, policy = name.partition("/")
        await self._ql(f'create database "{database}"')
        if policy:
            duration = f"duration {keep_s}s replication 1"
            await self._ql(f'create retention policy "{policy}" on "{database}" {duration}')
        else:
            await self._ql(f'alter retention policy "autogen" on "{database}" duration {keep_s}s')
        return web.json_response(self._described(name, keep_s), status=201)

    async def _change_bucket(self, request: web.Request) -> web.Response:
        name = self._bucket_ids[urllib.parse.quote(request.match_info["id"], safe="")]
        keep_s = (await request.json())["retentionRules"][0]["everySeconds"]
        database, _, policy = name.partition("/")
        await self._ql(f'alter retention policy "{policy or "autogen"}" on "{database}" duration {keep_s}s')
        return web.json_response(self._described(name, keep_s))


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


def _seconds(duration: str) -> int:
    """``9600h0m0s`` → seconds."""
    hours, _, rest = duration.partition("h")
    minutes, _, seconds = rest.partition("m")
    return int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds.rstrip("s") or 0) if rest else 0
