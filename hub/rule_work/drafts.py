"""Drafts of rules that people try out: checked, rehearsed one after the other, and put into the folder.

A draft lives in memory until the hub restarts or newer ones take its place; what goes live is a file.
"""

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from hub.clock import Clock
from hub.nodes import Problem
from hub.rule_work.apart import RehearsalError
from hub.rule_work.history import Span
from hub.rule_work.live import read_folder
from hub.rules.errors import RuleFileError
from hub.rules.library import ready_files
from hub.rules.loading import example_problems, live_rules, load_rules
from hub.rules.model import Rule
from hub.rules.schedule import SANTIAGO

log = logging.getLogger(__name__)

MAX_DRAFTS = 20
MAX_WAITING = 5
FILE = "borrador.yaml"
BEFORE = "anteriores"
"""Folder, inside of the rules' own, of what a promotion replaced; the watch does not look into it."""
MAX_DAYS = 92

_FILE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,50}\.yaml\Z")

Rehearse: TypeAlias = Callable[[str, Span, str, Callable[[float], None]], Awaitable[dict[str, Any]]]
"""(text, span, role, on_progress) → the result as JSON; see :func:`hub.rule_work.apart.rehearse_apart`."""


class DraftError(Exception):
    """A draft that cannot be; the message is Spanish and says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """``state``: ``waiting``, ``running``, ``done`` or ``failed`` (``error`` says why)."""

    draft_id: str
    text: str
    author: str
    role: str
    days: int
    made_at: datetime
    rules: tuple[Rule, ...]
    state: str = "waiting"
    share: float = 0.0
    found: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    promoted_as: str = ""


def check(text: str) -> tuple[list[Rule], list[Problem]]:
    """The rules of a draft, or everything that is wrong with it; its examples are run too."""
    try:
        rules = load_rules({FILE: text})
    except RuleFileError as error:
        return [], error.problems
    if not rules:
        return [], [Problem(FILE, 1, "el borrador no tiene reglas; escriba «rules:» y al menos una")]
    return rules, example_problems(rules)


class Drafts:
    """The drafts of one hub, rehearsed one at a time."""

    def __init__(self, rehearse: Rehearse, folder: Path, clock: Clock) -> None:
        self._rehearse = rehearse
        self._folder = folder
        self._clock = clock
        self._drafts: dict[str, Draft] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._promoting = asyncio.Lock()

    def add(self, text: str, rules: list[Rule], author: str, role: str, days: int) -> Draft:
        """Queue the rehearsal of a checked draft over the last ``days``. Raises :class:`DraftError`."""
        if not 1 <= days <= MAX_DAYS:
            raise DraftError(f"La historia va de 1 a {MAX_DAYS} días.")
        if sum(d.state in ("waiting", "running") for d in self._drafts.values()) >= MAX_WAITING:
            raise DraftError("Hay varios ensayos en espera. Intente cuando terminen.")
        draft = Draft(
            draft_id=secrets.token_urlsafe(12),
            text=text,
            author=author,
            role=role,
            days=days,
            made_at=self._clock.now(),
            rules=tuple(rules),
        )
        self._drafts[draft.draft_id] = draft
        self._forget()
        self._queue.put_nowait(draft.draft_id)
        return draft

    def _forget(self) -> None:
        """The oldest finished ones make room."""
        finished = [d.draft_id for d in self._drafts.values() if d.state in ("done", "failed")]
        for draft_id in finished[: max(0, len(self._drafts) - MAX_DRAFTS)]:
            del self._drafts[draft_id]

    def get(self, draft_id: str) -> Draft | None:
        return self._drafts.get(draft_id)

    def newest(self) -> list[Draft]:
        return sorted(self._drafts.values(), key=lambda d: d.made_at, reverse=True)

    async def run_loop(self) -> None:
        """Rehearse what is queued, for ever."""
        while True:
            await self._run(await self._queue.get())

    async def _run(self, draft_id: str) -> None:
        draft = self._drafts[draft_id]
        until = self._clock.now()
        self._set(draft_id, state="running")
        span = Span(until - timedelta(days=draft.days), until)
        try:
            found = await self._rehearse(
                draft.text, span, draft.role, lambda share: self._set(draft_id, share=share)
            )
        except RehearsalError as error:
            self._set(draft_id, state="failed", error=str(error))
        except (OSError, ValueError) as error:  # no process to be had, or an answer beyond all bounds
            log.warning("a rehearsal failed: %s", error)
            self._set(draft_id, state="failed", error="El ensayo no se pudo hacer. Avise al técnico.")
        else:
            self._set(draft_id, state="done", share=1.0, found=found)

    def _set(self, draft_id: str, **changes: Any) -> None:
        if draft_id in self._drafts:  # a finished one may have made room meanwhile
            self._drafts[draft_id] = replace(self._drafts[draft_id], **changes)

    # ---------------------------------------------------------------------------------- promotion

    async def promote(self, draft: Draft, name: str, author: str) -> str:
        """Put a rehearsed draft into the folder as ``name``; what it replaces is kept beside.

        Raises :class:`DraftError`, or :class:`RuleFileError` where the folder would not load with it; then
        nothing changed.
        """
        if draft.state != "done":
            raise DraftError("Primero ensaye el borrador.")
        if not _FILE_NAME.fullmatch(name):
            raise DraftError("El archivo se llama con minúsculas, cifras, - y _, y termina en .yaml.")
        async with self._promoting:
            now = self._clock.now()
            text = f"# Activada por {author} el {now.astimezone(SANTIAGO):%d-%m-%Y %H:%M}\n{bare(draft.text)}"
            await asyncio.to_thread(put, self._folder, name, text, f"{now:%Y%m%dT%H%M%SZ}")
        self._set(draft.draft_id, promoted_as=name)
        log.info("rules promoted as %s", name)
        return name


def bare(text: str) -> str:
    """Without the line that an earlier promotion wrote."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[1:]) if lines and lines[0].startswith("# Activada por ") else text


def put(folder: Path, name: str, text: str, stamp: str) -> None:
    """Write the file in one step, so that the watch reads the old one or the new one and nothing between."""
    files = read_folder(folder)
    live_rules(ready_files(), files | {str(folder / name): text})
    target, fresh = folder / name, folder / f".{name}.new"
    folder.mkdir(parents=True, exist_ok=True)
    if target.exists():
        before = folder / BEFORE
        before.mkdir(exist_ok=True)
        _write(before / f"{target.stem}.{stamp}.yaml", target.read_text("utf-8", "replace"))
    _write(fresh, text)
    fresh.replace(target)
    _sync(folder)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """The directory's own entry is on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
