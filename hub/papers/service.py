"""The documents' one door: what kinds there are, make one, keep it, find it again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.database import Pool
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.kinds import KINDS
from hub.papers.paper import Paper, decode, encode
from hub.plan.periods import last_finished, parse_period

PAGE = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """A document in the list. ``sha256`` is of its content."""

    paper_id: int
    kind: str
    subject: str
    title: str
    sha256: str
    author: str
    made_at: datetime


def kind_of(name: str) -> Kind:
    """Raises :class:`PaperError`."""
    if name not in KINDS:
        raise PaperError(f"no existe el documento «{name}»; los hay: {', '.join(KINDS)}")
    return KINDS[name]


def subject_of(kind: Kind, text: str, now: datetime) -> Subject:
    """What the document is about; without a text, the last period that is over.

    Raises :class:`PaperError` for a period of another kind, or for one that is not over.
    """
    if kind.of == "folio":
        if not text:
            raise PaperError(f"«{kind.name}» necesita un folio")
        return Subject(text)
    try:
        period = parse_period(text) if text else last_finished(kind.of, now)
    except ValueError as error:
        raise PaperError(str(error)) from error
    if period.kind != kind.of:
        raise PaperError(f"«{kind.name}» se hace por {kind.of}, y «{text}» es otro período")
    if period.until > now:
        raise PaperError(f"el período {period.label} no ha terminado")
    return Subject(period.label, period)


async def make(desk: Desk, kind: Kind, subject: Subject, *, author: str) -> int:
    """Make a document and keep it; its number. Raises :class:`PaperError`."""
    paper = await kind.build(desk, subject)
    content = encode(paper)
    found: int = await desk.pool.fetchval(
        "insert into papers (kind, subject, title, content, sha256, author, made_at)"
        " values ($1, $2, $3, $4, $5, $6, $7) returning paper_id",
        *(kind.id, subject.label, f"{paper.title}, {paper.subtitle}"),
        *(content, hashlib.sha256(content.encode()).hexdigest(), author, desk.as_of),
    )
    return found


async def find(pool: Pool, paper_id: int) -> tuple[Kept, Paper]:
    """Raises :class:`PaperError` for one that is not there, or whose content was altered."""
    row = await pool.fetchrow("select * from papers where paper_id = $1", paper_id)
    if row is None:
        raise PaperError(f"no existe el documento {paper_id}")
    if hashlib.sha256(row["content"].encode()).hexdigest() != row["sha256"]:
        raise PaperError(f"el documento {paper_id} fue alterado: no corresponde a su huella SHA-256")
    return _kept(row), decode(row["content"])


async def kept(pool: Pool, before: int | None = None) -> Sequence[Kept]:
    """A page of the list, the newest first; ``before`` is the last number of the page before."""
    rows = await pool.fetch(
        "select * from papers where $1::bigint is null or paper_id < $1 order by paper_id desc limit $2",
        *(before, PAGE),
    )
    return [_kept(row) for row in rows]


def _kept(row: object) -> Kept:
    return Kept(*(row[name] for name in Kept.__slots__))  # type: ignore[index]  # asyncpg's record
