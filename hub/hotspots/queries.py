"""The questions to the database behind a sheet of hot spots: one scan each, aggregated there."""

from hub.database.statement import numbered

BIN_DEGREES = 0.0002
"""About 20 m: an event is moved by 14 m at most before it is laid into a hexagon 350 m across."""

# Confirmed events of the field, of kinds that an operation can change. The same exclusions as the plan's
# measures: no test, no drill, nothing reserved, nothing of the equipment.
_KNOWN = """
with codes as materialized (select * from jsonb_each_text(:codes::jsonb) c (kind, code)),
known as (
  select a.alert_id, a.sector, a.place, a.opened_at, a.latitude, a.longitude, k.code,
    split_part(k.code, '.', 1) as family
  from alerts a left join codes c on c.kind = a.kind
  cross join lateral (select coalesce(nullif(a.classification, ''), c.code, '') as code) k
  where a.opened_at >= {since} and a.opened_at < :now::timestamptz
    and not a.is_drill and not a.is_reserved and not a.kind = any(:restricted::text[])
    and a.reason in ('attended', 'referred') and a.closed_at <= :now::timestamptz
    and not split_part(k.code, '.', 1) = any(:left_out::text[])
)"""
_BIN = f"floor(latitude / {BIN_DEGREES})::integer as y, floor(longitude / {BIN_DEGREES})::integer as x"
_LOCAL = "opened_at at time zone 'America/Santiago'"

FIRST = "select min(opened_at) from alerts where opened_at >= $1"

BINS = numbered(
    _KNOWN.format(since=":base_since::timestamptz")
    + f"""
select family, {_BIN}, sector,
  count(*) filter (where opened_at >= :since::timestamptz)::integer as recent,
  count(*) filter (where opened_at < :since::timestamptz)::integer as base,
  coalesce(sum(power(0.5, extract(epoch from :now::timestamptz - opened_at)::float8 / :half_life_s::float8))
    filter (where opened_at >= :since::timestamptz), 0)::float8 as weight
from known group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
)

HEATS = numbered(
    _KNOWN.format(since=":base_since::timestamptz")
    + f"""
select family, sector, extract(isodow from {_LOCAL})::integer as weekday,
  extract(hour from {_LOCAL})::integer as hour, count(*)::integer as events
from known group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
)

_OF_SPOTS = """
, spots as materialized (
  select * from unnest(:spots::integer[], :ys::integer[], :xs::integer[]) as s (spot, y, x)
),
binned as (select k.*, {bins} from known k where :family::text = '' or k.family = :family)"""

SPOT_HOURS = numbered(
    _KNOWN.format(since=":hours_since::timestamptz")
    + _OF_SPOTS.format(bins=_BIN)
    + f"""
select spot, extract(isodow from {_LOCAL})::integer as weekday, extract(hour from {_LOCAL})::integer as hour,
  count(*)::integer as events,
  sum(power(0.5, extract(epoch from :now::timestamptz - opened_at)::float8
    / (2 * :half_life_s::float8)))::float8 as weight
from binned join spots using (y, x) group by 1, 2, 3 order by 1, 2, 3
"""
)

SPOT_PLACES = numbered(
    _KNOWN.format(since=":since::timestamptz")
    + _OF_SPOTS.format(bins=_BIN)
    + """
select spot, place, code, avg(latitude)::float8 as latitude, avg(longitude)::float8 as longitude,
  count(*)::integer as events
from binned join spots using (y, x) group by spot, y, x, place, code order by 1, 6 desc, 2, 3, 4
"""
)

# Each event with the nearest earlier one of its kind and neighbourhood; chains of these are repeats. Sought
# in a grid of cells at least 200 m wide down to 60 degrees south; the distance itself is exact.
REPEATS = numbered(
    _KNOWN.format(since=":repeat_since::timestamptz")
    + """,
placed as materialized (
  select alert_id, sector, place, code, opened_at, latitude, longitude,
    floor(latitude / 0.0018)::integer as y, floor(longitude / 0.0036)::integer as x
  from known where code <> '' and latitude is not null and longitude is not null
    and (:family::text = '' or family = :family)
),
near as materialized (
  select n.alert_id, n.code, n.opened_at, n.latitude, n.longitude, n.y + dy as y, n.x + dx as x
  from placed n cross join generate_series(-1, 1) dy cross join generate_series(-1, 1) dx
  where n.opened_at >= :since::timestamptz
),
tied as (
  select distinct on (n.alert_id) n.alert_id, e.alert_id as earlier
  from near n join placed e using (code, y, x)
  where e.alert_id <> n.alert_id
    and (e.opened_at, e.alert_id) < (n.opened_at, n.alert_id)
    and e.opened_at >= n.opened_at - :repeat_window::interval
    and metres_between(e.latitude, e.longitude, n.latitude, n.longitude) <= :repeat_m::float8
  order by n.alert_id, e.opened_at desc, e.alert_id desc
)
select t.alert_id, t.earlier, p.code, p.sector, p.place, p.opened_at, p.latitude, p.longitude,
  e.opened_at as earlier_at
from tied t join placed p on p.alert_id = t.alert_id join placed e on e.alert_id = t.earlier
order by p.opened_at, t.alert_id
"""
)
