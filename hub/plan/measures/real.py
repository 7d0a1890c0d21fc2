"""Which alerts count: the part that the measures over alerts share."""

EXCLUSIONS = (
    "pruebas y simulacros, duplicadas y fusionadas, alertas reservadas (VIF y otras restringidas) y alertas"
    " técnicas de los propios equipos"
)

# Nothing later than :as_of is known: an alert that was closed after it counts as open, so that a figure
# comes out the same whenever it is computed again.
REAL = """
known as (
  select a.alert_id, a.code, a.kind, a.priority, a.sector, a.latitude, a.longitude, a.opened_at,
    case when a.acknowledged_at <= :as_of::timestamptz then a.acknowledged_at end as acknowledged_at,
    case when a.closed_at <= :as_of::timestamptz then a.reason end as reason,
    coalesce(nullif(a.classification, ''), s.settings -> 'code_of_kind' ->> a.kind, '') as class_code,
    s.settings
  from alerts a cross join (select :settings::jsonb as settings) s
  where a.opened_at >= :since::timestamptz - make_interval(days => {days_before})
    and a.opened_at < least(:until::timestamptz, :as_of::timestamptz)
    and not a.is_drill and not a.is_reserved
    and not (s.settings -> 'restricted_kinds') ? a.kind
),
real as (
  select k.*, split_part(k.class_code, '.', 1) as family from known k
  where coalesce(k.reason, '') not in ('test', 'drill', 'duplicate')
    and split_part(k.class_code, '.', 1) not in ('TEC', 'VIF')
)"""


def real(days_before: int = 0) -> str:
    """Common table expressions ending in ``real``; ``days_before`` looks back beyond the window."""
    return REAL.format(days_before=days_before)
