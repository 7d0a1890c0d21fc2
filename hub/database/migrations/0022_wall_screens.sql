-- A screen on the wall is an account with one permission and a session of a year. Its key opens it once; a
-- session of its own is a row of ``sessions`` like any other, and ends when that row goes.
alter table users drop constraint users_role_check;
alter table users add constraint users_role_check check
  (role in ('operador', 'jefe_turno', 'director', 'inspector', 'tecnico', 'auditor', 'victimas', 'pantalla'));

-- Which devices are out now (the views ``panels.devices`` and ``outages``): a look for each device of the
-- inventory, which must not read all open alerts each time.
create index alerts_out_device on alerts (device_id) where closed_at is null and kind = 'device_silent';
create index alerts_out_gateway on alerts (gateway) where closed_at is null and kind = 'gateway_silent';
