-- An inspection that should not be there, typed twice or by mistake, is withdrawn by another row that replaces it
-- and says so; what was written in the street stays.
alter table inspections add column is_withdrawn boolean not null default false
  check (not is_withdrawn or replaces is not null);

-- What counted, and from when until when: the versions of each inspection, each from recorded_at until
-- replaced_at (null: it stands). A withdrawal ends a version and is none.
create view inspection_versions as
select i.*, r.recorded_at as replaced_at
from inspections i left join inspections r on r.replaces = i.inspection_id
where not i.is_withdrawn;

create or replace view panels.operations with (security_barrier) as
select o.folio, case o.kind when 'street_trade' then 'Comercio ambulante'
    when 'alcohol' then 'Alcohol en la vía pública' when 'traffic' then 'Control vehicular'
    when 'noise' then 'Ruidos molestos' when 'premises' then 'Locales y patentes' when 'rural' then 'Ronda rural'
    when 'dump' then 'Microbasurales' when 'other' then 'Otro' else o.kind end as kind,
  o.name, o.sector, o.state,
  case o.state when 'planned' then 'Programado' when 'confirmed' then 'Confirmado'
    when 'in_progress' then 'En curso' when 'executed' then 'Ejecutado, acta abierta'
    when 'closed' then 'Acta cerrada' when 'suspended' then 'Suspendido' else o.state end as state_name,
  o.season, o.hot_spot, o.planned_start, o.planned_end, o.started_at, o.ended_at, o.closed_at,
  (select count(*) from operation_institutions i where i.operation_id = o.operation_id) as institutions,
  (select count(*) from inspection_versions i
    where i.operation_id = o.operation_id and i.replaced_at is null) as inspections,
  (select count(*) from infringements f join inspection_versions i using (inspection_id)
    where i.operation_id = o.operation_id and i.replaced_at is null) as infringements,
  (select count(*) from operation_links k join alerts a using (alert_id)
    where k.operation_id = o.operation_id and k.relation = 'origin' and k.removed_at is null
    and not a.is_reserved and a.kind not in ('duress', 'vif')) as origins,
  '/operativos/' || o.folio as console_path
from operations o where not o.is_drill;

create or replace view panels.inspections with (security_barrier) as
select i.inspected_at, i.sector, i.trade, i.institution, i.acting,
  case i.result when 'no_remark' then 'Sin observación' when 'warning' then 'Advertencia'
    when 'infringement' then 'Infracción' when 'closure_referred' then 'Clausura derivada'
    else i.result end as result_name,
  i.permit_state
from inspection_versions i left join operations o using (operation_id)
where not coalesce(o.is_drill, false) and i.replaced_at is null;
