"""What rules remember: rows, changed in the transaction of their cause, and a cache of those of devices.

Memories that several hubs may change (of places, of events) are locked and read each time, but for presses:
they are judged by what was seen last, and their statement undoes itself where that is old. Those of single
devices by readings change in one lane, so they are kept here; each write checks that its row is still the
one that was read, and a batch that lost that race is repeated.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from hub.database import Connection, Pool
from hub.database.statement import numbered
from hub.rules.evaluate import Match, RuleSet
from hub.rules.model import Key, Memory

CHANNEL = "rule_states"
"""NOTIFY channel: a timer changed what is remembered of the device whose id is the payload."""

_OF_DEVICES = """
    select rule, scope, state, due_at, device_id, version from rule_states where scope = any($1::text[])
"""
# Locks rows that exist and rows that do not exist yet, in one order for all hubs.
_LOCK = """
    insert into rule_states as s (rule, scope, device_id, state, changed_at, version)
    select rule, scope, null, null, $3, 0 from unnest($1::text[], $2::text[]) as k (rule, scope)
    order by rule, scope
    on conflict (rule, scope) do update set version = s.version
    returning rule, scope, state, due_at, device_id, version
"""
_SAVE = """
    insert into rule_states as s (rule, scope, device_id, state, due_at, version, changed_at)
    select rule, scope, device_id, state, due_at, version, :now
    from unnest(:memory_rules::text[], :memory_scopes::text[], :memory_devices::int[],
                :memory_states::jsonb[], :memory_dues::timestamptz[], :memory_versions::int[])
      as n (rule, scope, device_id, state, due_at, version)
    order by rule, scope
    on conflict (rule, scope) do update
    set device_id = excluded.device_id, state = excluded.state, due_at = excluded.due_at,
        version = excluded.version, changed_at = excluded.changed_at
    where s.version = excluded.version - 1
"""
_SAVED = numbered(_SAVE)
REMEMBERING = (
    f"remembered as ({_SAVE} returning 1)",
    "all_kept as (select must_be_new(count(*) = :memory_count) from remembered)",
)
"""Parts of a statement that writes memories, or fails as a whole where one was changed meanwhile; read
``all_kept``, too."""

_LATEST = """
    select rule, scope, state, due_at, device_id, version from rule_states
    where scope !~ '^[0-9]+$' order by changed_at desc limit $1
"""
MAX_RECALLED = 20_000
_NONE: Mapping[str, Memory] = {}


class Memories:
    """The cache, and the way to the rows."""

    def __init__(self) -> None:
        self._of_device: dict[int, Mapping[str, Memory]] = {}
        self._recalled: dict[Key, Memory] = {}

    def clear(self) -> None:
        self._of_device.clear()
        self._recalled.clear()

    def forget(self, device_id: int) -> None:
        self._of_device.pop(device_id, None)

    def heard(self, payload: str) -> None:
        """For NOTIFY; an empty payload says that something may have been missed."""
        if payload.isdigit():
            self.forget(int(payload))
        else:
            self.clear()

    def knows(self, device_id: int) -> bool:
        """Whether what is remembered of the device has been read."""
        return device_id in self._of_device

    def active(self, device_id: int) -> Collection[str]:
        """The rules that remember something of the device; it has been read before."""
        return self._of_device.get(device_id, _NONE).keys()

    async def know(self, connection: Connection, device_ids: Iterable[int]) -> None:
        """Read what is remembered of devices that are not known yet, in one statement."""
        missing = [d for d in set(device_ids) if d not in self._of_device]
        if not missing:
            return
        found: dict[int, dict[str, Memory]] = {}
        for record in await connection.fetch(_OF_DEVICES, [str(d) for d in missing]):
            found.setdefault(int(record["scope"]), {})[record["rule"]] = memory_of(record)
        for device_id in missing:
            self._of_device[device_id] = found.get(device_id, _NONE)

    async def read(
        self, connection: Connection, matches: Sequence[Match], now: datetime
    ) -> dict[Key, Memory]:
        """The memories that the matches meet in; those that others may change are locked."""
        memories: dict[Key, Memory] = {}
        shared: set[Key] = set()
        for match in matches:
            if match.rule.is_cached:
                memory = self._of_device.get(match.signal.device.device_id, _NONE).get(match.rule.name)
                if memory is not None:
                    memories[match.key] = memory
            elif match.rule.operator.is_stateful:
                shared.add(match.key)
        if shared:
            keys = sorted(shared)
            records = await connection.fetch(_LOCK, [k[0] for k in keys], [k[1] for k in keys], now)
            read = {(r["rule"], r["scope"]): memory_of(r) for r in records}
            self._recall_from_now(read)
            memories.update(read)
        return memories

    async def load(self, pool: Pool) -> None:
        """At the start, and when a shard comes from another hub: what was known is old."""
        self.clear()
        records = await pool.fetch(_LATEST, MAX_RECALLED // 2)
        self._recall_from_now({(r["rule"], r["scope"]): memory_of(r) for r in records})

    def recall(self, keys: Iterable[Key]) -> dict[Key, Memory]:
        """The memories of several devices as they were seen last, or nothing where none was seen.

        Whoever decides by them writes them all, which fails (:data:`REMEMBERING`) where they are old.
        """
        return {key: self._recalled.get(key) or Memory() for key in keys}

    def _recall_from_now(self, memories: Mapping[Key, Memory]) -> None:
        if len(self._recalled) + len(memories) > MAX_RECALLED:
            self._recalled.clear()
        self._recalled.update(memories)

    async def save(self, connection: Connection, changed: Mapping[Key, Memory], now: datetime) -> None:
        """Write what changed. Raises ``asyncpg.SerializationError`` where a row was changed meanwhile."""
        if not changed:
            return
        status = await connection.execute(_SAVED.sql, *_SAVED.arguments(remembering_arguments(changed, now)))
        if int(status.rpartition(" ")[2]) < len(changed):
            for memory in changed.values():
                if memory.device_id is not None:
                    self.forget(memory.device_id)
            raise asyncpg.SerializationError("a rule's memory was changed meanwhile; repeat the batch")

    def keep(self, changed: Mapping[Key, Memory], rules: RuleSet) -> None:
        """The transaction has committed: from now on this is what is known."""
        recalled = {}
        for key, memory in changed.items():
            rule = rules.rules.get(key[0])
            if rule is None:
                continue
            stored = Memory(memory.state, memory.due_at, memory.device_id, memory.version + 1)
            if not rule.is_cached:
                recalled[key] = stored
            elif memory.device_id in self._of_device:
                self._of_device[memory.device_id] = {**self._of_device[memory.device_id], key[0]: stored}
        self._recall_from_now(recalled)


def remembering_arguments(changed: Mapping[Key, Memory], now: datetime) -> dict[str, object]:
    return {
        "now": now,
        "memory_rules": [rule for rule, _ in changed],
        "memory_scopes": [scope for _, scope in changed],
        "memory_devices": [m.device_id for m in changed.values()],
        "memory_states": [
            None if m.state is None else msgspec.json.encode(m.state).decode() for m in changed.values()
        ],
        "memory_dues": [m.due_at for m in changed.values()],
        "memory_versions": [m.version + 1 for m in changed.values()],
        "memory_count": len(changed),
    }


def memory_of(record: asyncpg.Record) -> Memory:
    """A row of ``rule_states``."""
    state = None if record["state"] is None else msgspec.json.decode(record["state"])
    return Memory(state, record["due_at"], record["device_id"], record["version"])
