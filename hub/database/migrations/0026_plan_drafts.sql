-- The next version of the plan while somebody works at it. One at a time: two would have to be merged by hand.
create table plan_drafts (
  single       boolean primary key default true check (single),
  content      text not null,                    -- YAML; may still have mistakes
  version      integer not null default 1,       -- counts changes: two people never overwrite each other
  author       text not null,                    -- who changed it last
  started_at   timestamptz not null,
  changed_at   timestamptz not null
);
