-- What a recurring operation still needs to plan its next ones by itself.
alter table operation_series
  add column planned_until timestamptz,          -- the last one that was planned or passed over; null: none yet
  add column problem text not null default '';   -- why the next one could not be planned; for the page

-- A task that will not be done is left out with its reason; it stays in the acta as such.
alter table operation_tasks
  add column dropped_because text not null default '',
  add check (dropped_because = '' or done_at is null);
