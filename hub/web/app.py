"""The console's composition: ``create_app`` joins routes, checks and assets."""

import logging
from collections.abc import Callable
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from hub.alerts.service import Catalogue, CatalogueBook
from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.fieldwork.form import FormBook
from hub.fieldwork.vault import Vault
from hub.notify.service import Policies
from hub.notify.watching import OnFindings
from hub.papers.making import Workshop
from hub.plan.model import Topics
from hub.plan.service import TopicsBook
from hub.telemetry import TelemetryStore
from hub.telemetry.postgres import PostgresTelemetry
from hub.web.assets import Assets
from hub.web.auth import signed_in
from hub.web.bus import AlertBus
from hub.web.context import Console, RulesDesk, build_templates, console_of
from hub.web.headers import SecurityHeaders
from hub.web.limits import BodyLimit
from hub.web.problem import Problem, as_json
from hub.web.routes import (
    alerts,
    amend,
    api,
    board,
    bulletins,
    calendars,
    calls,
    corrections,
    device,
    devices,
    direction,
    drills,
    evidence,
    field,
    field_api,
    gateways,
    grafana,
    groups,
    handover,
    hotspots,
    live,
    login,
    open_data,
    operations,
    ops,
    papers,
    permits,
    plan,
    plan_edit,
    registers,
    rounds,
    rules,
    sala,
    series,
    silences,
    transports,
    turns,
)
from hub.web.settings import WebSettings
from hub.web.texts import Wall

log = logging.getLogger(__name__)

PUBLIC = (
    login.router,
    ops.router,
    gateways.router,
    grafana.router,
    calendars.open_router,
    open_data.router,
)
PRIVATE = (
    board.router,
    alerts.router,
    amend.router,
    silences.router,
    handover.router,
    turns.router,
    rules.router,
    plan_edit.router,
    plan.router,
    direction.router,
    field.router,
    field_api.router,
    permits.router,
    rounds.router,
    evidence.router,
    hotspots.router,
    series.router,
    calendars.router,
    corrections.router,
    operations.router,
    papers.router,
    registers.router,
    devices.router,
    device.router,
    transports.router,
    groups.router,
    calls.router,
    drills.router,
    bulletins.router,
    live.router,
    sala.router,
    api.router,
)


def create_app(
    *,
    pool: Pool,
    clock: Clock,
    settings: WebSettings,
    metrics: Callable[[], bytes] | None,
    bus: AlertBus,
    has_console: bool = True,
    policies: Callable[[], Policies] = Policies,
    catalogue: Callable[[], Catalogue] | None = None,
    desk: RulesDesk | None = None,
    topics: Callable[[], Topics] | None = None,
    telemetry: TelemetryStore | None = None,
    workshop: Workshop | None = None,
    on_findings: OnFindings | None = None,
) -> FastAPI:
    """The operator console; without it, health and metrics alone.

    Raises :class:`hub.web.assets.AssetsMissingError` before `make setup` ran.
    """
    assets, wall = Assets(), Wall(settings.timezone)
    app = FastAPI(title="Almenara", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = Console(
        pool=pool,
        clock=clock,
        settings=settings,
        metrics=metrics,
        bus=bus,
        assets=assets,
        templates=build_templates(settings, assets, wall),
        wall=wall,
        policies=policies,
        catalogue=catalogue or CatalogueBook(),
        desk=desk,
        topics=topics or TopicsBook(),
        vault=Vault(settings.evidence_folder),
        form=FormBook(settings.form_path),
        telemetry=telemetry or PostgresTelemetry(),
        workshop=workshop,
        on_findings=on_findings,
    )
    app.mount("/static", assets)
    if has_console:
        _add_console(app)
    else:
        app.include_router(ops.router)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders, is_secure=settings.secure_cookie)
    _answer_errors(app)
    return app


def _add_console(app: FastAPI) -> None:
    for router in PUBLIC:
        app.include_router(router)
    private = APIRouter(dependencies=[Depends(signed_in)])
    for router in PRIVATE:
        private.include_router(router)
    app.include_router(private)


def _answer_errors(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_fields)
    for error in UNAVAILABLE:
        app.add_exception_handler(error, _on_database_away)
    app.add_exception_handler(Exception, _on_crash)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


async def _answer(request: Request, problem: Problem) -> Response:
    if not _wants_page(request):
        return as_json(problem)
    if problem.status == 401 and request.method == "GET":
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/ingresar?siguiente={quote(wanted)}", status_code=303)
    return console_of(request).page("error.html", {"problem": problem}, status=problem.status)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  (the handler is registered for this class)
    return await _answer(request, error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return await _answer(request, Problem(error.status_code))


async def _on_bad_fields(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = {str(e["loc"][-1]): "valor no válido o ausente" for e in error.errors() if e["loc"]}
    return await _answer(request, Problem(422, errors=fields))


async def _on_database_away(request: Request, error: Exception) -> Response:
    log.warning("the database is away during %s: %s", request.url.path, type(error).__name__)
    return await _answer(request, Problem(503))


async def _on_crash(request: Request, error: Exception) -> Response:
    log.error("%s failed", request.url.path, exc_info=error)
    return await _answer(request, Problem(500))
