"""Photos as rows: announced by their hash, stored in the vault, compared, verified.

A photo that arrives with another hash than the one taken at its capture is kept: both hashes stand in
its row, and every page says so.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.database import Connection, Pool
from hub.fieldwork.errors import FieldError
from hub.fieldwork.vault import ENDINGS, Vault, media_type_of

_FIELDS = (
    "file_id, f.operation_id, f.inspection_id, f.name, media_type, size_bytes, sha256, claimed_sha256,"
    " captured_at, is_stored, f.author, received_at"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """What a phone says of a photo before it sends it."""

    file_id: uuid.UUID
    sha256: str
    size_bytes: int
    captured_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """``is_stored`` False: known by its hash only, the content has not come yet."""

    file_id: uuid.UUID
    operation_id: uuid.UUID | None
    inspection_id: uuid.UUID | None
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    claimed_sha256: str
    captured_at: datetime | None
    is_stored: bool
    author: str
    received_at: datetime

    @property
    def differs(self) -> bool:
        """The content is another one than that whose hash was taken at capture."""
        return self.is_stored and bool(self.claimed_sha256) and self.claimed_sha256 != self.sha256


@dataclass(frozen=True, slots=True)
class Checked:
    """``state``: equal, changed, missing (from the vault), awaited (never came)."""

    file: File
    state: str


async def announce(
    connection: Connection,
    inspection_id: uuid.UUID,
    operation_id: uuid.UUID | None,
    folio: str,
    photos: Sequence[Photo],
    author: str,
    now: datetime,
) -> None:
    """Photos of an inspection that are still to come."""
    await connection.executemany(
        "insert into operation_files (file_id, operation_id, inspection_id, name, media_type, size_bytes,"
        " sha256, claimed_sha256, captured_at, is_stored, author, received_at)"
        " values ($1, $2, $3, $4, '', $5, $6, $6, $7, false, $8, $9)",
        [
            (
                photo.file_id,
                operation_id,
                inspection_id,
                f"{folio}-{number}",
                photo.size_bytes,
                photo.sha256,
                photo.captured_at,
                author,
                now,
            )
            for number, photo in enumerate(photos, 1)
        ],
    )


async def store(
    pool: Pool, vault: Vault, file_id: uuid.UUID, content: bytes, author: str, now: datetime
) -> File:
    """The content of an announced photo; returns its row once both are on disk. A repeat changes nothing.

    Raises :class:`FieldError` for an unknown photo or one of another author, :class:`VaultError` for
    content that is no photo.
    """
    file = await find(pool, file_id)
    if file is None:
        raise FieldError("Envíe primero la fiscalización: su foto llega después de ella.")
    if file.author != author:
        raise FieldError("Esa foto es de otra persona; solo quien la tomó la envía.")
    if file.is_stored:
        return file
    media_type = media_type_of(content)
    sha256 = await asyncio.to_thread(vault.put, content)
    await pool.execute(
        "update operation_files set sha256 = $2, size_bytes = $3, media_type = $4, is_stored = true,"
        " name = name || '.' || $5, received_at = $6 where file_id = $1 and not is_stored",
        file_id,
        sha256,
        len(content),
        media_type,
        ENDINGS[media_type],
        now,
    )
    stored = await find(pool, file_id)
    assert stored is not None  # noqa: S101  (rows of evidence are never deleted)
    return stored


async def find(pool: Pool, file_id: uuid.UUID) -> File | None:
    row = await pool.fetchrow(f"select {_FIELDS} from operation_files f where file_id = $1", file_id)  # noqa: S608
    return None if row is None else File(**row)


async def list_files(pool: Pool, *, limit: int, before: uuid.UUID | None = None) -> list[File]:
    """The newest first, by their ids, which carry the time of capture."""
    rows = await pool.fetch(
        f"select {_FIELDS} from operation_files f where $1::uuid is null or file_id < $1"  # noqa: S608
        " order by file_id desc limit $2",
        before,
        limit,
    )
    return [File(**row) for row in rows]


async def verify(pool: Pool, vault: Vault, page: int = 500) -> AsyncIterator[Checked]:
    """Every file, the oldest first, with its bytes hashed again."""
    after: uuid.UUID | None = None
    while True:
        rows = await pool.fetch(
            f"select {_FIELDS} from operation_files f where $1::uuid is null or file_id > $1"  # noqa: S608
            " order by file_id limit $2",
            after,
            page,
        )
        for row in rows:
            file = File(**row)
            state = await asyncio.to_thread(vault.state, file.sha256) if file.is_stored else "awaited"
            yield Checked(file, state)
        if len(rows) < page:
            return
        after = rows[-1]["file_id"]
