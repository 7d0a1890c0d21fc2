-- Within one priority: guards first, then neighbours as they are called: in their group's own order, then
-- base, guide, stand-in, then everybody.
alter table notifications add column rank smallint not null default 0;
drop index notifications_due;
create index notifications_due on notifications (priority, rank, due_at) where state = 'queued';

create function neighbour_rank(c contacts) returns smallint language sql immutable as $$
  select coalesce(c.call_order, 1000 + array_position(array['base', 'guia', 'suplente', ''], c.role))::smallint
$$;
