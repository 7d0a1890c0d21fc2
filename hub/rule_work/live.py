"""A municipality's own rules in a folder, watched: what is right goes live, what is wrong changes nothing."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.rule_work.work import RuleWork
from hub.rules.errors import RuleFileError
from hub.rules.library import ready_files
from hub.rules.loading import live_rules
from hub.rules.model import Rule

log = logging.getLogger(__name__)

WATCH_S = 2.0
Mark = tuple[tuple[str, int, int], ...]
"""Name, time of change and size of each file: differs whenever somebody saved one."""

_VERSIONS = """
    insert into rule_versions (rule, version, source, file, first_live_at)
    select n.*, $5 from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n
    on conflict do nothing
"""


def mark_of(folder: Path) -> Mark:
    try:
        files = sorted(folder.glob("*.yaml"))
        return tuple((f.name, (s := f.stat()).st_mtime_ns, s.st_size) for f in files)
    except OSError:  # a file that was renamed in this very moment shows in the next round
        return ()


def read_folder(folder: Path) -> dict[str, str]:
    """File name → text of the rules in ``folder``; what is not UTF-8 shows as such to the parser."""
    return {str(f): f.read_text("utf-8", "replace") for f in sorted(folder.glob("*.yaml"))}


class LiveRules:
    """Keeps the hub's rules as the folder has them. ``problems`` is Spanish, empty while all is well."""

    def __init__(self, pool: Pool, work: RuleWork, folder: Path, clock: Clock) -> None:
        self._pool = pool
        self._work = work
        self._folder = folder
        self._clock = clock
        self._mark: Mark | None = None
        self.problems: list[str] = []
        self.rules: tuple[Rule, ...] = ()
        """All that are in force, also those that were stopped."""

    async def start(self) -> None:
        """Load the folder once; with a mistake in it, the ready rules alone are live."""
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._work.load(self._pool)
        await self._follow(mark_of(self._folder))

    async def reload_loop(self) -> None:
        while True:
            await self._clock.sleep(WATCH_S)
            try:
                await self.look()
            except UNAVAILABLE as error:
                log.warning("rules wait: database away (%s)", type(error).__name__)

    async def look(self) -> bool:
        """Load the folder where it changed; whether other rules are live now."""
        mark = await asyncio.to_thread(mark_of, self._folder)
        return mark != self._mark and await self._follow(mark)

    async def _follow(self, mark: Mark) -> bool:
        try:
            rules = await asyncio.to_thread(self._read)
        except (RuleFileError, OSError) as error:
            self._mark = mark
            self.problems = str(error).splitlines()
            for line in self.problems:
                log.warning("rules not loaded, the last good ones stay: %s", line)
            return False
        await record_versions(self._pool, rules, self._clock)
        self._work.use(rules)
        self.rules = tuple(rules)
        self._mark, self.problems = mark, []
        log.info("%d rules are live, %d of them of this municipality", len(rules), _own(rules, ready_files()))
        return True

    def _read(self) -> list[Rule]:
        return live_rules(ready_files(), read_folder(self._folder))


def _own(rules: Iterable[Rule], ready: Mapping[str, str]) -> int:
    return sum(rule.file not in ready for rule in rules)


async def first_live(pool: Pool, rules: Iterable[Rule]) -> dict[str, datetime]:
    """Rule → since when its version is in force for the first time."""
    pairs = [(rule.name, rule.version) for rule in rules]
    rows = await pool.fetch(
        "select rule, first_live_at from rule_versions"
        " where (rule, version) in (select * from unnest($1::text[], $2::text[]))",
        [name for name, _ in pairs],
        [version for _, version in pairs],
    )
    return {row["rule"]: row["first_live_at"] for row in rows}


async def record_versions(pool: Pool, rules: Iterable[Rule], clock: Clock) -> None:
    """Each version that goes live is kept, so that an alert's version can be read again."""
    rows = [(r.name, r.version, r.source, Path(r.file).name) for r in rules]
    await pool.execute(_VERSIONS, *(list(column) for column in zip(*rows, strict=True)), clock.now())
