"""The datasets that a directorate is asked for, as queries for CSV. Places and folios; never a person."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """The query takes $1 and $2: instants, from and until before. ``see`` is a permission's name."""

    id: str
    title: str
    doc: str
    sql: str
    see: str = "see_operations"


_LOCAL = "at time zone 'America/Santiago'"
_SHOWN = "not a.is_drill and not a.is_reserved and a.kind not in ('duress', 'vif')"

_ALL = (
    Dataset(
        id="partes",
        title="Partes cursados",
        doc="Infracciones con su norma, folio del parte y citación.",
        sql=f"""
select i.folio as fiscalizacion, o.folio as operativo, (i.inspected_at {_LOCAL})::date as fecha,
  to_char(i.inspected_at {_LOCAL}, 'HH24:MI') as hora, i.sector, i.trade as rubro, f.rule as norma,
  f.ticket_folio as parte, f.court as tribunal, f.hearing_on as audiencia, i.institution as institucion
from infringements f join inspection_versions i using (inspection_id)
  left join operations o using (operation_id)
where i.inspected_at >= $1 and i.inspected_at < $2
  and i.replaced_at is null
  and not coalesce(o.is_drill, false)
order by i.inspected_at, i.folio, f.position
""",  # noqa: S608
    ),
    Dataset(
        id="fiscalizaciones",
        title="Fiscalizaciones",
        doc="Una fila por fiscalización, como quedó tras sus correcciones.",
        sql=f"""
select i.folio, o.folio as operativo, (i.inspected_at {_LOCAL})::date as fecha,
  to_char(i.inspected_at {_LOCAL}, 'HH24:MI') as hora, i.sector, i.trade as rubro, i.permit_state as permiso,
  i.result as resultado, i.acting as actua, i.assists as acompana, i.institution as institucion
from inspection_versions i left join operations o using (operation_id)
where i.inspected_at >= $1 and i.inspected_at < $2
  and i.replaced_at is null
  and not coalesce(o.is_drill, false)
order by i.inspected_at, i.folio
""",  # noqa: S608
    ),
    Dataset(
        id="citaciones",
        title="Citaciones",
        doc="Audiencias ante el Juzgado de Policía Local, por folio del parte.",
        sql="""
select f.hearing_on as audiencia, f.court as tribunal, f.ticket_folio as parte, f.rule as norma,
  i.folio as fiscalizacion, i.sector
from infringements f join inspection_versions i using (inspection_id)
  left join operations o using (operation_id)
where i.inspected_at >= $1 and i.inspected_at < $2 and f.hearing_on is not null
  and i.replaced_at is null
  and not coalesce(o.is_drill, false)
order by f.hearing_on, f.ticket_folio
""",
    ),
    Dataset(
        id="operativos",
        title="Operativos",
        doc="Una fila por operativo con sus totales.",
        sql=f"""
select o.folio, o.kind as tipo, o.name as nombre, o.sector,
  (o.planned_start {_LOCAL})::timestamp as programado, (o.started_at {_LOCAL})::timestamp as inicio,
  (o.ended_at {_LOCAL})::timestamp as termino, o.state as estado,
  (select string_agg(n.institution, ', ' order by n.role desc, n.institution) from operation_institutions n
    where n.operation_id = o.operation_id) as instituciones,
  (select count(*) from inspection_versions i
    where i.operation_id = o.operation_id and i.replaced_at is null) as fiscalizaciones,
  o.acta_folio as acta
from operations o where o.planned_start >= $1 and o.planned_start < $2 and not o.is_drill
order by o.planned_start, o.folio
""",  # noqa: S608
    ),
    Dataset(
        id="alarmas",
        title="Procedimientos de alarmas comunitarias",
        doc="Alertas cerradas con su tiempo de acuse y su motivo de cierre, sin casos reservados.",
        see="see_alerts",
        sql=f"""
select a.code as codigo, (a.opened_at {_LOCAL})::timestamp as recibida, a.kind as clase,
  a.priority as prioridad, a.sector, a.classification as clasificacion,
  round(extract(epoch from a.acknowledged_at - a.opened_at))::integer as acuse_s, a.reason as cierre,
  (a.closed_at {_LOCAL})::timestamp as cerrada
from alerts a
where a.opened_at >= $1 and a.opened_at < $2 and a.closed_at is not null and {_SHOWN}
  and a.kind not in ('device_silent', 'gateway_silent', 'battery_low')
order by a.opened_at, a.code
""",  # noqa: S608
    ),
    Dataset(
        id="llamados",
        title="Bitácora de llamados",
        doc="Llamados que hizo la central por una alerta, sin números ni nombres.",
        see="see_alerts",
        sql=f"""
select (c.at {_LOCAL})::timestamp as hora, a.code as alerta, a.sector, c.outcome as resultado
from calls c join alerts a using (alert_id)
where c.at >= $1 and c.at < $2 and {_SHOWN} order by c.at, c.call_id
""",  # noqa: S608
    ),
    Dataset(
        id="cctv",
        title="Base de cámaras",
        doc="El inventario con la última señal de cada cámara.",
        see="see_devices",
        sql=f"""
select d.source as identificador, d.name as nombre, d.place as lugar, d.sector, d.latitude as latitud,
  d.longitude as longitud, (d.created_at {_LOCAL})::date as inventariada,
  (s.last_seen_at {_LOCAL})::timestamp as ultima_senal
from devices d left join device_state s using (device_id)
where d.kind = 'camera' and d.created_at < $2 and $1::timestamptz is not null order by d.sector, d.source
""",  # noqa: S608
    ),
    Dataset(
        id="victimas",
        title="Atención a víctimas (totales)",
        doc="Cuántas por mes y materia; menos de 5 no se muestra.",
        see="see_council",
        sql="""
select to_char(opened_on, 'YYYY-MM') as mes, matter as materia,
  case when count(*) < 5 then '<5' else count(*)::text end as derivaciones,
  case when count(*) < 5 then '' else (count(*) filter (where accepted_on is not null))::text end as aceptadas
from referrals
where opened_on >= ($1 at time zone 'America/Santiago')::date
  and opened_on < ($2 at time zone 'America/Santiago')::date
group by 1, 2 order by 1, 2
""",
    ),
    Dataset(
        id="actividades-plan",
        title="Reporte anual del plan",
        doc="Evidencias de las actividades del plan, por fecha.",
        see="see_plan",
        sql="""
select plan_id as plan, activity as actividad, done_on as fecha, note as evidencia, file_name as archivo,
  sha256 as huella
from plan_evidence
where done_on >= ($1 at time zone 'America/Santiago')::date
  and done_on < ($2 at time zone 'America/Santiago')::date
order by done_on, evidence_id
""",
    ),
)
DATASETS: Mapping[str, Dataset] = {one.id: one for one in _ALL}
