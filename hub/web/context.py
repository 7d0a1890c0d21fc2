"""What every request needs, handed in by ``create_app``: there are no globals."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse

from hub.alerts.service import Catalogue, CatalogueBook
from hub.clock import Clock
from hub.database import Pool
from hub.fieldwork.form import Form, FormBook
from hub.fieldwork.vault import Vault
from hub.notify.service import Policies
from hub.notify.watching import OnFindings
from hub.papers.making import Workshop
from hub.plan.model import Topics
from hub.plan.service import TopicsBook
from hub.rule_work.drafts import Drafts
from hub.rule_work.live import LiveRules
from hub.telemetry import TelemetryStore
from hub.telemetry.postgres import PostgresTelemetry
from hub.web import texts
from hub.web.assets import Assets
from hub.web.audit import RecentReads
from hub.web.bus import AlertBus
from hub.web.menu import MAIN_SECTIONS, MORE_SECTIONS
from hub.web.passwords import PasswordGate
from hub.web.permissions import ROLE_NAMES, Permission, permissions_of
from hub.web.sala import SalaBook
from hub.web.sessions import Session
from hub.web.settings import WebSettings
from hub.web.shelf import Shelf
from hub.web.texts import Wall
from hub.web.throttle import LoginThrottle

BEAT_AT_MOST = timedelta(seconds=30)
"""One console's sign of life is written no more often than this."""
# How long a stated reason keeps a restricted alert open to the session that stated it.
REVEALED_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class RulesDesk:
    """The rules in force, and the drafts that people try out."""

    live: LiveRules
    drafts: Drafts


@dataclass(frozen=True, kw_only=True)
class Console:
    pool: Pool
    clock: Clock
    settings: WebSettings
    metrics: Callable[[], bytes] | None
    bus: AlertBus
    assets: Assets
    templates: jinja2.Environment
    wall: Wall
    policies: Callable[[], Policies] = Policies
    """The escalation policies in force."""
    catalogue: Callable[[], Catalogue] = field(default_factory=CatalogueBook)
    vault: Vault
    """Photos and documents of inspections."""
    form: Callable[[], Form] = field(default_factory=FormBook)
    """What the inspector chooses from."""
    desk: RulesDesk | None = None
    topics: Callable[[], Topics] = field(default_factory=TopicsBook)
    """The topics that a safety plan must treat."""
    telemetry: TelemetryStore = field(default_factory=PostgresTelemetry)
    """Where the devices' readings are."""
    workshop: Workshop | None = None
    """Where documents are made."""
    on_findings: OnFindings | None = None
    """How what another system says of the platform becomes an alert; returns after the commit."""
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One figure is computed again at a time: each reads a month of alerts."""
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    passwords: PasswordGate = field(default_factory=PasswordGate)
    reads: RecentReads = field(default_factory=RecentReads)
    beats: RecentReads = field(default_factory=lambda: RecentReads(BEAT_AT_MOST))
    sheets: RecentReads = field(default_factory=RecentReads)
    """Hand-over sheets that were shown: only what somebody has seen can be signed."""
    sala: SalaBook = field(default_factory=SalaBook)
    shelf: Shelf = field(default_factory=Shelf)
    revealed: RecentReads = field(default_factory=lambda: RecentReads(REVEALED_FOR))

    def now(self) -> datetime:
        return self.clock.now()

    def page(
        self,
        template: str,
        values: Mapping[str, Any],
        session: Session | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        """Render a page or a fragment for this person."""
        html = self.templates.get_template(template).render(
            session=session, user=session.user if session else None, now=self.now(), **values
        )
        return HTMLResponse(html, status_code=status)


def console_of(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


def build_templates(settings: WebSettings, assets: Assets, wall: Wall) -> jinja2.Environment:
    """Escaping everywhere, and an unknown name is an error rather than a blank."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        asset=assets.url,
        commune=settings.commune,
        emergency_numbers=settings.emergency_numbers,
        institutions=settings.institutions,
        adopt_warning=settings.adopt_unknown_gateways,
        map_centre=settings.map_centre,
        map_zoom=settings.map_zoom,
        timezone=settings.timezone,
        Permission=Permission,
        permissions_of=permissions_of,
        main_sections=MAIN_SECTIONS,
        more_sections=MORE_SECTIONS,
        role_names=ROLE_NAMES,
        priorities=texts.PRIORITIES,
        session=None,
        user=None,
    )
    environment.filters.update(
        age=texts.age,
        figure=texts.figure,
        brief=texts.brief,
        left=texts.left,
        span=texts.span,
        clock=wall.clock,
        hour=wall.hour,
        day=wall.day,
        moment=wall.moment,
        field_time=wall.field,
        iso=datetime.isoformat,
    )
    return environment
