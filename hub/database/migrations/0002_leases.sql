-- Several hubs on one database: who is alive, and who does which piece of work. A handful of rows each.

create table hubs (
  owner        text primary key,
  seen_until   timestamptz not null
);

create table leases (
  name         text primary key,
  owner        text not null,
  until        timestamptz not null,
  listening_since timestamptz                    -- shards only: heard without interruption from then on
);
