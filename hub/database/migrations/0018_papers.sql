-- Documents as they were made: the council was shown exactly this. Never changed; a newer one is another row.
-- Grows with the documents that people make: some hundreds a year, a few hundred kilobytes at most each.
create table papers (
  paper_id     bigint generated always as identity primary key,
  kind         text not null,                    -- stop, mes, trimestre ...
  subject      text not null,                    -- 2026-10, 2026-W43, or a folio
  title        text not null,
  content      text not null,                    -- canonical JSON; page, PDF and spreadsheet come from it
  sha256       text not null,                    -- of content
  author       text not null,
  made_at      timestamptz not null
);
create index papers_made on papers (made_at desc);
create index papers_subject on papers (kind, subject, made_at desc);

create function paper_is_kept() returns trigger language plpgsql as $$
begin
  raise exception 'a document that was made is never changed; make another';
end $$;
create trigger papers_kept before update or delete on papers for each row execute function paper_is_kept();
