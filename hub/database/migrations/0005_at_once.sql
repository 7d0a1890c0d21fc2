-- A statement that takes its rows for new, and has found that they are not all, undoes itself.
create function must_be_new(is_new boolean) returns boolean language plpgsql as $$
begin
  if not is_new then
    raise unique_violation using message = 'some of the batch was stored before';
  end if;
  return true;
end $$;

-- Which hub holds a text's lease: one that starts again, or that is known to be dead, does not keep its texts
-- waiting for the lease's end.
alter table notifications add column lease_owner text not null default '';
