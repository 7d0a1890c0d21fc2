"""What followed an operation: events near it before and after, beside a control, in plain words."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.model import RESTRICTED_KINDS
from hub.database import Connection, Pool
from hub.database.statement import numbered
from hub.operations.model import Operation, OperationError
from hub.operations.ratios import Ratio, rate_ratio, relative_ratio
from hub.plan.measures.operations import EFFECT_DAYS, EFFECT_RADIUS_M
from hub.plan.periods import SANTIAGO

SPAN = timedelta(days=EFFECT_DAYS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """Counts of confirmed events of ``EFFECT_DAYS`` days. ``control`` empty: the sector has none.

    ``ratio`` is after over before; ``relative`` the same over that of the control (None without one).
    """

    before: int
    after: int
    control: str
    control_before: int
    control_after: int
    ratio: Ratio
    relative: Ratio | None


@dataclass(frozen=True, slots=True)
class NotYet:
    """It cannot be told before ``due_at``."""

    due_at: datetime
    days_left: int


# The events that the measure «operativo» counts (hub/plan/measures/operations.py): what is near its points,
# or of its sector where it has none. The control is a whole sector.
_COUNTS = numbered(f"""
with seen as (
  select a.opened_at, a.sector, a.latitude, a.longitude from alerts a
  left join jsonb_each_text(:codes::jsonb) c (kind, code) on c.kind = a.kind
  where (a.opened_at >= :before_since::timestamptz and a.opened_at < :before_until::timestamptz
      or a.opened_at >= :after_since::timestamptz and a.opened_at < :after_until::timestamptz)
    and not a.is_drill and not a.is_reserved and not a.kind = any(:restricted::text[])
    and a.reason in ('attended', 'referred') and a.closed_at <= :now::timestamptz
    and split_part(coalesce(nullif(a.classification, ''), c.code, ''), '.', 1) not in ('TEC', 'VIF')
),
judged as (
  select s.opened_at >= :after_since::timestamptz as is_after, s.sector = :control::text as is_control,
    case when :has_points::boolean then exists (
      select from operation_points p where p.operation_id = :operation::uuid
        and abs(s.latitude - p.latitude) < {EFFECT_RADIUS_M} / 111000.0
        and abs(s.longitude - p.longitude) < {EFFECT_RADIUS_M} / 55000.0
        and metres_between(s.latitude, s.longitude, p.latitude, p.longitude) <= {EFFECT_RADIUS_M})
      else s.sector = :sector::text and s.sector <> '' end as is_here
  from seen s
)
select count(*) filter (where is_here and not is_after)::integer as before,
  count(*) filter (where is_here and is_after)::integer as after,
  count(*) filter (where is_control and not is_after)::integer as control_before,
  count(*) filter (where is_control and is_after)::integer as control_after
from judged
""")  # noqa: S608  (figures of ours)


async def effect_of(
    executor: Pool | Connection, operation: Operation, codes_json: str, now: datetime
) -> Effect | NotYet:
    """Raises :class:`OperationError` for an operation that was not held.

    ``codes_json``: which code of the catalogue a kind of alert stands for until somebody classified it.
    """
    began, ended = operation.started_at, operation.ended_at
    if began is None or ended is None:
        raise OperationError(f"{operation.folio} no se ha ejecutado; su efecto se mide desde que termina")
    due_at = ended + SPAN
    if now < due_at:
        return NotYet(due_at, max(1, -(-(due_at - now) // timedelta(days=1))))
    draft = operation.draft
    control: str | None = await executor.fetchval(
        "select control_for_effect from sectors where sector = $1", draft.sector
    )
    values: dict[str, Any] = {
        "before_since": began - SPAN,
        "before_until": began,
        "after_since": ended,
        "after_until": due_at,
        "restricted": sorted(RESTRICTED_KINDS),
        "codes": codes_json,
        "now": now,
        "control": control or "",
        "sector": draft.sector,
        "has_points": bool(draft.points),
        "operation": operation.operation_id,
    }
    row: Any = await executor.fetchrow(_COUNTS.sql, *_COUNTS.arguments(values))
    counts = dict(row)
    relative = None
    if control:
        relative = relative_ratio(
            counts["after"], counts["before"], counts["control_after"], counts["control_before"]
        )
    return Effect(
        control=control or "",
        ratio=rate_ratio(counts["after"], counts["before"]),
        relative=relative,
        **counts,
    )


def told(effect: Effect | NotYet) -> list[str]:
    """Sentences for people. Pure."""
    if isinstance(effect, NotYet):
        days = "falta 1 día" if effect.days_left == 1 else f"faltan {effect.days_left} días"
        when = f"{effect.due_at.astimezone(SANTIAGO):%d-%m-%Y}"
        return [f"Todavía no se puede decir: {days} (el {when})."]
    near = f"A {EFFECT_RADIUS_M} m y en {EFFECT_DAYS} días"
    lines = [f"{near}, los hechos confirmados {_moved(effect.before, effect.after)}."]
    if effect.relative is None:
        lines.append("El sector no tiene otro con qué compararlo: no se sabe si habría cambiado igual.")
        judged = effect.ratio
    else:
        there = _moved(effect.control_before, effect.control_after)
        lines.append(f"En el sector de control, {effect.control}, {there}.")
        judged = effect.relative
    lines.append(_judged(judged, is_compared=effect.relative is not None))
    return lines


def _moved(before: int, after: int) -> str:
    if before == after:
        return f"siguieron en {after}"
    return f"{'bajaron' if after < before else 'subieron'} de {before} a {after}"


def _judged(ratio: Ratio, *, is_compared: bool) -> str:
    if ratio.value is None:
        return "Sin hechos antes no hay con qué comparar."
    beside = " en comparación con el control" if is_compared else ""
    low, high = _percent(ratio.low), "sin tope" if ratio.high is None else _percent(ratio.high)
    range_ = f"El cambio real puede ir de {low} a {high}{beside} (95 % de confianza)."
    if ratio.may_be_chance:
        return f"{range_} Con tan pocos hechos no se puede descartar el azar."
    word = "bajaron" if ratio.is_less else "subieron"
    return f"{range_} Es poco probable que sea azar: {word}{beside}."


def _percent(ratio: float) -> str:
    change = round(100 * (ratio - 1))
    return f"{change:+d} %".replace("-", "−")
