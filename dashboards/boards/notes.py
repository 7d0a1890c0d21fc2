"""Annotations that several dashboards share. Pure."""

from dashboards import defaults as house
from dashboards.builder import Note

URGENT = Note(
    name="Alertas P1",
    color=house.BAD,
    query="""
select opened_at as time, kind_name as title, coalesce(sector, '') as text, 'P1' as tags
from panels.alerts where $__timeFilter(opened_at) and priority = 1 and not is_drill
""",
)
HELD = Note(
    name="Operativos",
    color=house.PLAIN,
    query="""
select started_at as time, ended_at as timeend, folio as title, sector as text, 'operativo' as tags
from panels.operations where $__timeFilter(started_at)
""",
)
