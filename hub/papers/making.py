"""Documents being made: one at a time, with progress that a page can follow.

What waits or runs lives in memory; a hub that restarts forgets it, and the page says so.
What was made is kept.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub.clock import Clock
from hub.database import UNAVAILABLE
from hub.papers import service
from hub.papers.desk import Desk, Kind, PaperError, Subject

log = logging.getLogger(__name__)

MAX_JOBS = 30
MAX_WAITING = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """``state``: ``waiting``, ``running``, ``done`` (with ``paper_id``) or ``failed`` (with ``error``)."""

    job_id: str
    kind: Kind
    subject: Subject
    author: str
    asked_at: datetime
    state: str = "waiting"
    done: int = 0
    of: int = 1
    step: str = ""
    paper_id: int | None = None
    error: str = ""


MakeDesk = Callable[[datetime], Desk]


class Workshop:
    """The documents that one hub makes."""

    def __init__(self, desk_at: MakeDesk, clock: Clock) -> None:
        self.desk_at = desk_at
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def ask(self, kind: str, subject: str, author: str) -> Job:
        """Queue one. Raises :class:`PaperError`, also where too many wait."""
        now = self._clock.now()
        found = service.kind_of(kind)
        about = service.subject_of(found, subject, now)
        if len(self.going()) >= MAX_WAITING:
            raise PaperError("hay varios documentos en espera; intente cuando terminen")
        job = Job(job_id=secrets.token_urlsafe(12), kind=found, subject=about, author=author, asked_at=now)
        self._jobs[job.job_id] = job
        self._forget()
        self._queue.put_nowait(job.job_id)
        return job

    def _forget(self) -> None:
        over = [job.job_id for job in self._jobs.values() if job.state in ("done", "failed")]
        for job_id in over[: max(0, len(self._jobs) - MAX_JOBS)]:
            del self._jobs[job_id]

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def going(self) -> Sequence[Job]:
        return [job for job in self._jobs.values() if job.state in ("waiting", "running")]

    async def run_loop(self) -> None:
        """Make what is queued, for ever."""
        while True:
            await self._run(await self._queue.get())

    async def _run(self, job_id: str) -> None:
        async def tell(done: int, of: int, step: str) -> None:
            self._set(job_id, done=done, of=of, step=step)

        job = self._jobs[job_id]
        self._set(job_id, state="running")
        desk = replace(self.desk_at(self._clock.now()), progress=tell)
        try:
            paper_id = await service.make(desk, job.kind, job.subject, author=job.author)
        except PaperError as error:
            self._set(job_id, state="failed", error=f"{str(error).capitalize()}.")
        except (*UNAVAILABLE, TimeoutError) as error:
            log.warning("document %s of %s was not made: %s", job.kind.id, job.subject.label, error)
            self._set(job_id, state="failed", error="La base de datos no respondió. Pídalo de nuevo.")
        except Exception:
            # one document that cannot be made never stops the others
            log.exception("document %s of %s was not made", job.kind.id, job.subject.label)
            self._set(job_id, state="failed", error="No se pudo preparar. Avise al técnico.")
        else:
            self._set(job_id, state="done", paper_id=paper_id)

    def _set(self, job_id: str, **changes: Any) -> None:
        if job_id in self._jobs:  # a finished one may have made room meanwhile
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)
