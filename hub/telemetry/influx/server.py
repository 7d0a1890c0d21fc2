"""An InfluxDB 2 server: write through influxdb-client, read by InfluxQL, buckets by its API.

InfluxQL and not Flux, because version 3 reads the first and has dropped the second. A bucket ``name`` answers
to InfluxQL as database ``name``, a bucket ``name/1h`` as its retention policy ``1h``.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import httpx
import msgspec
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from hub.telemetry import Keep, Resolution, TelemetryError
from hub.telemetry.influx import Access
from hub.telemetry.influx.lines import identifier

WRITE_TIMEOUT_S = 30.0
QUERY_TIMEOUT_S = 60.0
_DEFAULT_POLICY = "autogen"
_DAY_S = 86_400
# The server will not take the text itself: part of it, or all, will never do.
_REFUSED = (400, 413, 422)
_ADVICE = {
    401: "el token no vale; revise influxdb_token_file",
    403: "al token le falta permiso sobre el bucket; cree otro con lectura y escritura",
    404: "no existe el bucket o la organización; corra: almenara-hub telemetry setup",
}


class ServerAwayError(TelemetryError):
    """Nobody answers, or the server asks to come back later: try again."""


class RefusedLinesError(TelemetryError):
    """The server will not take these lines, or not all of them; sending them again changes nothing."""


class AnswerSeries(msgspec.Struct, frozen=True):
    """One series of an answer; ``values`` holds rows in the order of ``columns``."""

    name: str = ""
    columns: list[str] = []
    tags: dict[str, str] = {}
    values: list[list[Any]] = []


class _Result(msgspec.Struct, frozen=True):
    series: list[AnswerSeries] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


class Bucket(msgspec.Struct, frozen=True, rename="camel"):
    """What the server says of a bucket. No rule, or zero seconds: kept for ever."""

    id: str
    name: str
    retention_rules: list[dict[str, Any]] = []

    @property
    def keep_s(self) -> int:
        return int(next((rule.get("everySeconds", 0) for rule in self.retention_rules), 0))


class _Named(msgspec.Struct, frozen=True):
    id: str
    name: str


class _Orgs(msgspec.Struct, frozen=True):
    orgs: list[_Named] = []


class _Buckets(msgspec.Struct, frozen=True):
    buckets: list[Bucket] = []


class InfluxServer:
    """An async context. Raises :class:`TelemetryError`, mostly one of the two above."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._http = httpx.AsyncClient(
            base_url=access.url,
            headers={"Authorization": f"Token {access.token}"},
            timeout=QUERY_TIMEOUT_S,
            verify=access.ca_file or True,
            trust_env=False,
        )
        self._client: InfluxDBClientAsync | None = None
        self._version = ""

    async def __aenter__(self) -> Self:
        self._client = InfluxDBClientAsync(
            url=self.access.url,
            token=self.access.token,
            org=self.access.org,
            timeout=int(WRITE_TIMEOUT_S * 1000),
            ssl_ca_cert=self.access.ca_file or None,
        )
        self._write_api = self._client.write_api()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]

    # -------------------------------------------------------------------------------------- lines

    def bucket(self, resolution: Resolution) -> str:
        own = self.access.bucket
        return own if resolution is Resolution.RAW else f"{own}/{resolution.value}"

    def table(self, resolution: Resolution) -> str:
        """The measurement's full name in InfluxQL."""
        policy = _DEFAULT_POLICY if resolution is Resolution.RAW else resolution.value
        return f'{identifier(self.access.bucket)}.{identifier(policy)}."telemetry"'

    async def write(self, resolution: Resolution, lines: bytes) -> None:
        """Lines with times in milliseconds; they are on the server's disk when this returns."""
        try:
            await self._write_api.write(self.bucket(resolution), record=lines, write_precision="ms")  # type: ignore[arg-type]  # it is text
        except ApiException as error:
            raise _explained(error.status or 0, error.body or error.reason) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _away(error) from error

    async def query(self, text: str) -> list[AnswerSeries]:
        """The series of one statement; times in milliseconds."""
        form = {"db": self.access.bucket, "epoch": "ms", "q": text}
        answer = msgspec.json.decode(await self._request("POST", "/query", data=form), type=_Answer)
        problem = answer.error or next((result.error for result in answer.results if result.error), "")
        if problem:
            raise TelemetryError(f"InfluxDB no entiende la consulta: {problem}")
        return [series for result in answer.results for series in result.series]

    async def version(self) -> str:
        """Raises where nobody answers."""
        await self._request("GET", "/ping")
        return self._version

    # ------------------------------------------------------------------------------------ buckets

    async def buckets(self) -> dict[Resolution, Bucket | None]:
        """Ours, as the server has them; None is missing."""
        org_id = await self._org_id()
        found: dict[Resolution, Bucket | None] = {}
        for resolution in Resolution:
            name = self.bucket(resolution)
            body = await self._request("GET", "/api/v2/buckets", params={"name": name, "orgID": org_id})
            listed = msgspec.json.decode(body, type=_Buckets).buckets
            found[resolution] = next((bucket for bucket in listed if bucket.name == name), None)
        return found

    async def create(self, resolution: Resolution, keep_s: int) -> None:
        rules = [{"type": "expire", "everySeconds": keep_s}]
        content = {"orgID": await self._org_id(), "name": self.bucket(resolution), "retentionRules": rules}
        await self._request("POST", "/api/v2/buckets", json=content)

    async def set_retention(self, bucket: Bucket, keep_s: int) -> None:
        rules = [{"type": "expire", "everySeconds": keep_s}]
        await self._request("PATCH", f"/api/v2/buckets/{bucket.id}", json={"retentionRules": rules})

    async def _org_id(self) -> str:
        body = await self._request("GET", "/api/v2/orgs", params={"org": self.access.org})
        listed = msgspec.json.decode(body, type=_Orgs).orgs
        for org in listed:
            if org.name == self.access.org:
                return org.id
        raise TelemetryError(f"InfluxDB no conoce la organización «{self.access.org}»; revise influxdb_org")

    # --------------------------------------------------------------------------------------- HTTP

    async def _request(self, method: str, path: str, **content: Any) -> bytes:
        try:
            response = await self._http.request(method, path, **content)
        except (httpx.TransportError, OSError) as error:
            raise _away(error) from error
        self._version = response.headers.get("X-Influxdb-Version", "?")
        if response.is_error:
            # Only lines are refused; a question that the server does not take is our mistake, and no reason
            # to take anything apart.
            raise _explained(response.status_code, response.text, is_write=False)
        return response.content


def keep_s(resolution: Resolution, keep: Keep) -> int:
    """Seconds that a bucket keeps its rows: minutes live as long as the readings."""
    is_short = resolution in (Resolution.RAW, Resolution.MINUTE)
    return _DAY_S * (keep.raw_days if is_short else keep.rollup_days)


def _away(error: BaseException) -> ServerAwayError:
    return ServerAwayError(f"InfluxDB no responde ({type(error).__name__}: {error}); revise influxdb_url")


def _explained(status: int, text: object, *, is_write: bool = True) -> TelemetryError:
    message = _message(str(text))
    if status in _REFUSED and is_write:
        return RefusedLinesError(message)
    if status in _ADVICE:
        return TelemetryError(f"InfluxDB responde {status}: {_ADVICE[status]} ({message})")
    if status in _REFUSED:
        return TelemetryError(f"InfluxDB responde {status}: {message}")
    return ServerAwayError(f"InfluxDB responde {status}: {message}")


def _message(text: str) -> str:
    """The server's own words out of its JSON."""
    try:
        found: Mapping[str, Any] = msgspec.json.decode(text, type=dict)
    except msgspec.DecodeError:
        return text[:300]
    return str(found.get("message") or found.get("error") or text)[:300]
