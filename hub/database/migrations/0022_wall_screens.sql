-- A screen on the wall is an account with one permission and a session of a year. Its key opens it once; a
-- session of its own is a row of ``sessions`` like any other, and ends when that row goes.
alter table users drop constraint users_role_check;
alter table users add constraint users_role_check check
  (role in ('operador', 'jefe_turno', 'director', 'inspector', 'tecnico', 'auditor', 'victimas', 'pantalla'));
