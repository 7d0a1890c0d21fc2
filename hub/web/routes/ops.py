"""For machines: health and metrics."""

import asyncio
import ipaddress
import secrets

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from hub.database import UNAVAILABLE
from hub.web.auth import TheConsole, address_of
from hub.web.context import Console
from hub.web.problem import Problem

router = APIRouter(include_in_schema=False)

HEALTH_TIMEOUT_S = 2.0


@router.get("/salud")
async def health(console: TheConsole) -> Response:
    """200 while the database answers, else 503."""
    try:
        await asyncio.wait_for(console.pool.fetchval("select 1"), HEALTH_TIMEOUT_S)
    except UNAVAILABLE:
        return JSONResponse({"status": "degraded", "database": "away"}, status_code=503)
    return JSONResponse({"status": "ok", "database": "ok"})


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _may_scrape(console: Console, request: Request) -> bool:
    token = console.settings.metrics_token
    sent = request.headers.get("authorization", "")
    if token and secrets.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        return True
    return _is_loopback(address_of(request))


@router.get("/metrics")
async def metrics(request: Request, console: TheConsole) -> Response:
    if not _may_scrape(console, request):
        raise Problem(403, "Las métricas se leen desde el mismo equipo o con un token.")
    if console.metrics is None:
        raise Problem(404)
    return Response(console.metrics(), media_type=CONTENT_TYPE_LATEST)
