"""Few alerts: what stands for many, what comes and goes too often, what nobody wants to hear now. Pure.

Life alerts (priority 1) are never grouped, never covered by another and never counted as flapping.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.alerts.finding import Finding

GATEWAY_KIND = "gateway_silent"
COVERED_KINDS = frozenset({"device_silent", "sensor_failed", "battery_low", "camera_fault"})
"""What the silence of their gateway explains."""

GROUP_SCOPES: Mapping[str, str] = {
    "device_silent": "gateway",
    "sensor_failed": "gateway",
    "battery_low": "gateway",
    "camera_fault": "gateway",
    "power_lost": "sector",
    "tamper": "place",
    "camera_moved": "place",
    "gate_open": "place",
    "river_high": "place",
}
"""Kinds that are grouped, and the field of a finding that their group shares."""

GROUP_AT = 5
GROUP_WINDOW = timedelta(minutes=5)
"""So many alerts of one kind and place within this are one."""

FLAPS = 4
FLAP_WINDOW = timedelta(hours=1)
"""Opened so often within this, the same thing is one alert that stays until it has been calm for as long."""

GROUP_TITLES: Mapping[str, str] = {
    "device_silent": "Sin señal",
    "sensor_failed": "Sensores con falla",
    "battery_low": "Batería baja",
    "camera_fault": "Cámaras con falla",
    "power_lost": "Corte de energía",
    "tamper": "Sabotaje",
    "camera_moved": "Cámaras desviadas",
    "gate_open": "Portones abiertos",
    "river_high": "Crecida",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the alerts of a group have in common."""

    kind: str
    field: str
    value: str

    @property
    def key(self) -> str:
        return f"group:{self.kind}:{self.field}:{self.value}"


def is_ordinary(finding: Finding) -> bool:
    """Nothing here concerns it: the way of every life alert, which costs no look at anything."""
    return finding.priority == 1 or finding.is_drill


def scope_of(finding: Finding) -> Scope | None:
    field = GROUP_SCOPES.get(finding.kind)
    value = "" if field is None else getattr(finding, field) or ""
    return Scope(finding.kind, field, value) if field and value else None


def gateway_key(finding: Finding) -> str | None:
    """The key of the alert that would cover this one."""
    covered = finding.kind in COVERED_KINDS and finding.gateway
    return f"{GATEWAY_KIND}:{finding.gateway}" if covered else None


def flapping_key(finding: Finding) -> str:
    return f"flapping:{finding.dedup_key}"


def keys_to_look_up(findings: Iterable[Finding]) -> set[str]:
    """Keys of open alerts that decide where these findings belong."""
    keys: set[str] = set()
    for finding in findings:
        scope, gateway = scope_of(finding), gateway_key(finding)
        keys.add(flapping_key(finding))
        keys.update(key for key in (gateway, scope.key if scope else None) if key)
    return keys


@dataclass(frozen=True, slots=True)
class Plan:
    """``plain`` open or join on their own, ``parents`` too; ``children`` go under the key beside them.

    ``adopt``: groups that also take what is open already.
    """

    plain: list[Finding]
    parents: list[Finding]
    children: list[tuple[Finding, str]]
    adopt: list[Scope]


def plan(
    findings: Sequence[Finding],
    open_keys: frozenset[str],
    openings: Mapping[str, int],
    standing: Mapping[Scope, int],
    now: datetime,
) -> Plan:
    """Where each finding of a batch belongs.

    ``open_keys``: which of :func:`keys_to_look_up` are open. ``openings``: how often each key opened within
    :data:`FLAP_WINDOW`. ``standing``: how many alerts of a scope opened on their own within
    :data:`GROUP_WINDOW` and are open.
    """
    steady = [_as_flapping(f, open_keys, openings) for f in findings]
    coming = open_keys | {f.dedup_key for f in findings}
    by_scope: dict[Scope, list[Finding]] = {}
    result = Plan([], [], [], [])
    for finding in steady:
        cover, scope = gateway_key(finding), scope_of(finding)
        if cover in coming and cover is not None:
            result.children.append((finding, cover))
        elif scope is None or finding.dedup_key.startswith("flapping:"):
            result.plain.append(finding)
        elif scope.key in open_keys:
            result.children.append((finding, scope.key))
        else:
            by_scope.setdefault(scope, []).append(finding)
    for scope, members in by_scope.items():
        keys = {member.dedup_key for member in members}
        if len(keys) + standing.get(scope, 0) < GROUP_AT:
            result.plain.extend(members)
            continue
        result.parents.append(group_finding(scope, members, len(keys) + standing.get(scope, 0), now))
        result.children.extend((member, scope.key) for member in members)
        result.adopt.append(scope)
    return result


def _as_flapping(finding: Finding, open_keys: frozenset[str], openings: Mapping[str, int]) -> Finding:
    key = flapping_key(finding)
    count = openings.get(finding.dedup_key, 0)
    if key not in open_keys and count < FLAPS:
        return finding
    minutes = int(FLAP_WINDOW.total_seconds() // 60)
    return replace(
        finding, dedup_key=key, summary=f"Intermitente ({count} veces en {minutes} min): {finding.summary}"
    )


def group_finding(scope: Scope, members: Sequence[Finding], count: int, now: datetime) -> Finding:
    """What stands for all of them: the most urgent priority, the place where they agree, their middle."""
    first = members[0]
    located = [
        (m.latitude, m.longitude) for m in members if m.latitude is not None and m.longitude is not None
    ]
    latitude = sum(a for a, _ in located) / len(located) if located else None
    longitude = sum(b for _, b in located) / len(located) if located else None
    title = GROUP_TITLES.get(scope.kind, scope.kind)
    where = first.gateway if scope.field == "gateway" else scope.value
    return Finding(
        rule="group",
        kind=scope.kind,
        priority=min(m.priority for m in members),
        dedup_key=scope.key,
        summary=f"{title}: {count} dispositivos, {where}",
        happened_at=min(now, *(m.happened_at for m in members)) if members else now,
        time_quality=first.time_quality,
        gateway=first.gateway if scope.field == "gateway" else None,
        place=_common([m.place for m in members]),
        sector=_common([m.sector for m in members]),
        latitude=latitude,
        longitude=longitude,
    )


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""
