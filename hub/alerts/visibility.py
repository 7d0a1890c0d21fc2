"""Who may know of a reserved alert: roles of the case, and nobody else. Pure."""

from hub.alerts.model import RESTRICTED_KINDS, Alert

SEES_RESTRICTED = frozenset({"operador", "jefe_turno", "director", "victimas"})
"""They see that it is there, under its neutral label; its place opens with a reason alone (the console)."""

NEUTRAL_LABEL = "Atención reservada"

_RESTRICTED_SQL = (
    "(kind = any('{" + ",".join(sorted(RESTRICTED_KINDS)) + "}') or is_reserved)"
)  # constants of ours


def sees_restricted(role: str | None) -> bool:
    return role is None or role in SEES_RESTRICTED


def visible_to(role: str | None) -> str:
    """SQL over ``alerts`` that leaves what ``role`` may see; None is the hub itself, which sees all."""
    return "true" if sees_restricted(role) else f"not {_RESTRICTED_SQL}"


def may_see(role: str | None, alert: Alert) -> bool:
    """The same for one alert."""
    return sees_restricted(role) or not alert.is_restricted
