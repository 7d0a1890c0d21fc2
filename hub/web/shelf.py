"""What is made for publication, kept for an hour: strangers never keep the database busy."""

import asyncio

import msgspec

from hub.papers import open_data
from hub.papers.desk import Desk

FRESH_S = 3600


class Shelf:
    """At most the months that are published, some kilobytes each; one is made at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._making = asyncio.Lock()

    async def month(self, desk: Desk, text: str) -> bytes:
        """GeoJSON of a month (empty: the last). Raises :class:`PaperError` for one that is not published."""
        month, now = open_data.month_of(desk, text), desk.as_of.timestamp()
        async with self._making:
            at, body = self._kept.get(month.label, (0.0, b""))
            if not body or now - at >= FRESH_S:
                body = msgspec.json.encode(await open_data.features(desk, month))
                self._kept[month.label] = (now, body)
        return body
