"""Rules that fail are stopped, rules that flood are held back; both are told of once."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.alerts.finding import Finding
from hub.database import Connection, Pool
from hub.rules.evaluate import Failure
from hub.rules.model import Rule

log = logging.getLogger(__name__)

FAILURES = 5
"""Errors in a row after which a rule is stopped: one odd message is not the rule's fault."""
HOUR = timedelta(hours=1)
FAILED = "rule_failed"
FLOODED = "rule_flood"

_STOP = """
    insert into rule_stops (rule, version, stopped_at, cause) values ($1, $2, $3, $4) on conflict do nothing
"""


@dataclass
class _Told:
    """The alerts that one rule asked for: dedup key → when last."""

    at: dict[str, datetime] = field(default_factory=dict)
    is_tripped: bool = False


class Health:
    """Counts of one hub process; that a rule was stopped is a row, and holds for all."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._told: dict[str, _Told] = {}
        self._stopped: set[tuple[str, str]] = set()

    async def load(self, pool: Pool) -> None:
        rows = await pool.fetch("select rule, version from rule_stops")
        self._stopped = {(row["rule"], row["version"]) for row in rows}

    def is_stopped(self, rule: Rule) -> bool:
        return (rule.name, rule.version) in self._stopped

    # ------------------------------------------------------------------------------------- failures

    def succeeded(self, names: Iterable[str]) -> None:
        """Errors in a row are counted anew."""
        for name in names:
            self._failures.pop(name, None)

    async def failed(
        self, connection: Connection, failures: Sequence[Failure], succeeded: Iterable[str], now: datetime
    ) -> list[Finding]:
        """Count errors in a row; the findings tell of the rules that are stopped from now on.

        A rule of priority 1 goes on: it is told of, but no error may silence a call for help.
        """
        self.succeeded(succeeded)
        findings = []
        for failure in failures:
            rule = failure.rule
            count = self._failures[rule.name] = self._failures.get(rule.name, 0) + 1
            log.warning("rule %s failed (%d in a row): %s", rule.name, count, failure.error)
            if count < FAILURES or self.is_stopped(rule):
                continue
            if rule.priority > 1:
                await connection.execute(_STOP, rule.name, rule.version, now, failure.error)
                self._stopped.add((rule.name, rule.version))
            findings.append(_failed_finding(failure, now))
        return findings

    # ---------------------------------------------------------------------------------------- flood

    def has_room(self, rule: Rule, count: int, now: datetime) -> bool:
        """Whether so many more alerts are within what the rule may ask for."""
        return len(self._lately(rule, now).at) + count <= rule.max_per_hour

    def _lately(self, rule: Rule, now: datetime) -> "_Told":
        told = self._told.setdefault(rule.name, _Told())
        told.at = {key: at for key, at in told.at.items() if now - at < HOUR}
        return told

    def admit(self, rule: Rule, findings: Iterable[Finding], now: datetime) -> tuple[list[Finding], int]:
        """(those that may open alerts, how many are held back): at most ``max_per_hour`` different ones.

        Life is never held back: a rule of priority 1 only says that it floods.
        """
        told = self._lately(rule, now)
        if len(told.at) < rule.max_per_hour:
            told.is_tripped = False
        admitted: list[Finding] = []
        held = 0
        for finding in findings:
            is_within = finding.dedup_key in told.at or len(told.at) < rule.max_per_hour
            if is_within or rule.priority == 1:
                told.at.setdefault(finding.dedup_key, now)
                admitted.append(finding)
            held += not is_within and rule.priority > 1
            if not is_within and not told.is_tripped:
                told.is_tripped = True
                log.warning("rule %s asks for more than %d alerts an hour", rule.name, rule.max_per_hour)
                admitted.append(_flood_finding(rule, now))
        return admitted, held


@dataclass(frozen=True, kw_only=True, slots=True)
class Ailment:
    """What is wrong with one version of a rule: ``stopped`` for good, or ``flooded`` lately."""

    rule: str
    version: str
    sort: str
    at: datetime
    cause: str


_AILMENTS = """
    select rule, version, 'stopped' as sort, stopped_at as at, cause from rule_stops
    union all
    select split_part(dedup_key, ':', 2), rule_version, 'flooded', last_event_at, summary from alerts
    where kind = $2 and (closed_at is null or last_event_at > $1)
    order by at desc limit 500
"""


async def ailments(pool: Pool, now: datetime) -> list[Ailment]:
    """Of all hubs, the newest first: rules that were stopped, and those held back within the last hour."""
    return [Ailment(**dict(row)) for row in await pool.fetch(_AILMENTS, now - HOUR, FLOODED)]


def _failed_finding(failure: Failure, now: datetime) -> Finding:
    is_on = failure.rule.priority == 1
    what = "sigue activa por ser de vida" if is_on else "quedó detenida hasta que se corrija"
    return _technical(failure.rule, FAILED, f"La regla «{failure.rule.title}» falla y {what}", now)


def _flood_finding(rule: Rule, now: datetime) -> Finding:
    what = "todos se muestran" if rule.priority == 1 else "el resto solo se registra"
    text = f"La regla «{rule.title}» pasó de {rule.max_per_hour} avisos por hora: {what}"
    return _technical(rule, FLOODED, text, now)


def _technical(rule: Rule, kind: str, summary: str, now: datetime) -> Finding:
    return Finding(
        rule=kind,
        kind=kind,
        priority=3,
        dedup_key=f"{kind}:{rule.name}",
        summary=summary,
        happened_at=now,
        time_quality="receipt",
        rule_version=rule.version,
    )
