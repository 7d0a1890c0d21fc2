"""Times of a gateway that booted without knowing the time.

Its packs carry its own steady timeline of that boot. The first pack of a boot fixes, once and for all,
how far that timeline is from the hub's clock; so a repeat of any pack gets the very same times again,
which is what keeps (device, quantity, time) a key.
"""

from datetime import datetime

from edge import contract
from hub.database import Pool

_FIX = """
    with made as (
      insert into clock_offsets (gateway, boot_id, offset_s) values ($1, $2, $3)
      on conflict do nothing returning offset_s)
    select offset_s from made
    union all select offset_s from clock_offsets where gateway = $1 and boot_id = $2 limit 1
"""


class ClockOffsets:
    def __init__(self) -> None:
        self._offset_s: dict[tuple[str, str], float] = {}

    async def load(self, pool: Pool) -> None:
        rows = await pool.fetch(
            "select gateway, boot_id, offset_s from clock_offsets order by created_at desc limit 100000"
        )
        self._offset_s = {(r["gateway"], r["boot_id"]): r["offset_s"] for r in rows}

    async def shift(self, pool: Pool, gateway: str, pack: contract.Pack, received_at: datetime) -> float:
        """Seconds to add to the pack's times; 0 where its clock was synchronised."""
        if pack.clock is not contract.Clock.UNSYNCED or pack.bootid is None or pack.age_ms is None:
            return 0.0
        known = self._offset_s.get((gateway, pack.bootid))
        if known is not None:
            return known
        # The age belongs to the pack's newest measurement.
        newest = max(m.time for m in pack.measurements)
        offset_s = round(received_at.timestamp() - pack.age_ms / 1000 - newest, 3)
        fixed = await pool.fetchval(_FIX, gateway, pack.bootid, offset_s)
        if fixed is None:  # another hub fixed it between the two halves of the statement
            fixed = await pool.fetchval(_FIX, gateway, pack.bootid, offset_s)
        self._offset_s[gateway, pack.bootid] = fixed
        return float(fixed)
