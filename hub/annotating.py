"""Cases and operations as annotations in Grafana, told as they begin and as they end.

What is told is what Grafana's role may read anyway (the schema ``panels``): reserved cases under their
neutral label, nobody's name. Grafana may be away; what was missed within a day is told when it is back.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool

log = logging.getLogger(__name__)

CADENCE_S = 15.0
BEHIND = timedelta(days=1)
"""What began longer ago is not told any more."""
CLAIM = timedelta(seconds=60)
"""A hub that died in between leaves its claim to the others after that."""
MOST = 200
_TAG = "almenara"

_DUE = """
with told as (
  select console_path as subject, opened_at as begins, closed_at as ends, code || ' ' || kind_name as title,
    coalesce(sector, '') as sector, array['alerta', 'P' || priority] as tags
  from panels.alerts where opened_at >= $1 and priority <= 2 and not is_drill
  union all
  select console_path, started_at, ended_at, folio || ' ' || kind, sector, array['operativo']
  from panels.operations where started_at >= $1
)
select t.*, n.annotation, n.subject is not null as is_claimed from told t
left join grafana_annotations n using (subject)
where n.subject is null or (n.annotation is null and n.claimed_at < $2 and n.ended_at is null)
  or (n.annotation is not null and t.ends is not null and n.ended_at is null)
order by t.begins limit $3
"""


class GrafanaError(Exception):
    """Grafana cannot be told now; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Grafana:
    """``url`` of the server; the token is of a service account that may write annotations."""

    url: str
    token: str
    timeout_s: float = 10.0


class Annotating:
    """Any number of hubs may run it: who claims a subject tells it."""

    def __init__(self, pool: Pool, grafana: Grafana, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._client = httpx.AsyncClient(
            base_url=grafana.url.rstrip("/"),
            headers={"Authorization": f"Bearer {grafana.token}"},
            timeout=grafana.timeout_s,
            follow_redirects=False,
            trust_env=False,
        )
        self._is_away = False

    async def run_loop(self, wake: asyncio.Event) -> None:
        """Tell at each call of ``wake``, and every some seconds: operations wake nobody."""
        try:
            while True:
                wake.clear()
                await self._round()
                waiting = asyncio.create_task(wake.wait())
                resting = asyncio.create_task(self._clock.sleep(CADENCE_S))
                try:
                    await asyncio.wait({waiting, resting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                    resting.cancel()
        finally:
            await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def _round(self) -> None:
        try:
            await self.tell()
        except UNAVAILABLE as error:
            log.warning("annotations wait: database away (%s)", type(error).__name__)
        except GrafanaError as error:
            if not self._is_away:
                log.warning("annotations wait: %s", error)
            self._is_away = True
        else:
            if self._is_away:
                log.info("Grafana takes annotations again")
            self._is_away = False

    async def tell(self) -> int:
        """Tell everything that is due; how many. Raises :class:`GrafanaError`."""
        now = self._clock.now()
        rows = await self._pool.fetch(_DUE, now - BEHIND, now - CLAIM, MOST)
        for row in map(dict, rows):
            if row["annotation"] is not None:
                await self._end(row, now)
            elif await self._claim(row["subject"], now):
                await self._begin(row, now)
        return len(rows)

    async def _claim(self, subject: str, now: datetime) -> bool:
        claimed: bool | None = await self._pool.fetchval(
            "insert into grafana_annotations (subject, claimed_at) values ($1, $2)"
            " on conflict (subject) do update set claimed_at = $2"
            " where grafana_annotations.annotation is null and grafana_annotations.claimed_at < $3"
            " returning true",
            *(subject, now, now - CLAIM),
        )
        return bool(claimed)

    async def _begin(self, row: Mapping[str, Any], now: datetime) -> None:
        number = await self._known(row) if row["is_claimed"] else None
        title = ", ".join(word for word in (row["title"], row["sector"]) if word)
        body = {
            "time": _ms(row["begins"]),
            "tags": [_TAG, *row["tags"]],
            "text": f"{title}\n{row['subject']}",
        }
        if row["ends"] is not None:
            body["timeEnd"] = _ms(row["ends"])
        if number is None:
            answer = await self._ask("POST", "/api/annotations", json=body)
            number = answer["id"] if answer else None
        # one that Grafana refuses for good is not asked again, and stops no other
        is_over = number is None or row["ends"] is not None
        await self._pool.execute(
            "update grafana_annotations set annotation = $2, ended_at = $3 where subject = $1",
            *(row["subject"], number, now if is_over else None),
        )

    async def _known(self, row: Mapping[str, Any]) -> int | None:
        """The annotation that a hub which died had made already."""
        at = _ms(row["begins"])
        parameters = {"from": at - 1000, "to": at + 1000, "tags": _TAG, "limit": MOST}
        found = await self._ask("GET", "/api/annotations", params=parameters)
        return next((one["id"] for one in found or () if row["subject"] in one.get("text", "")), None)

    async def _end(self, row: Mapping[str, Any], now: datetime) -> None:
        await self._ask("PATCH", f"/api/annotations/{row['annotation']}", json={"timeEnd": _ms(row["ends"])})
        await self._pool.execute(
            "update grafana_annotations set ended_at = $2 where subject = $1", row["subject"], now
        )

    async def _ask(self, method: str, path: str, **values: Any) -> Any:
        """The answer, or None where Grafana refuses this one for good. Raises :class:`GrafanaError`."""
        try:
            answer = await self._client.request(method, path, **values)
        except httpx.HTTPError as error:
            raise GrafanaError(f"Grafana does not answer ({type(error).__name__})") from error
        if answer.status_code in (400, 404, 422):
            log.warning("Grafana refuses an annotation: HTTP %d", answer.status_code)
            return None
        if answer.status_code != 200:
            hint = "; check grafana_token_file" if answer.status_code in (401, 403) else ""
            raise GrafanaError(f"Grafana answers HTTP {answer.status_code}{hint}")
        try:
            return answer.json()
        except ValueError as error:
            raise GrafanaError("Grafana's answer is no JSON; check grafana_url") from error


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
