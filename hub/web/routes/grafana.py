"""Where Grafana's alerting tells of the platform itself: its alerts become the hub's own.

``/grafana/alertas`` takes the body of a Grafana webhook contact point (an object with ``alerts``, each
with ``status``, ``labels``, ``annotations`` and ``fingerprint``) under a bearer token. Nobody is answered
before the commit; Grafana repeats what was answered with an error, and a repeat changes nothing.
"""

import logging
import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from hub.alerts.finding import Finding
from hub.web.auth import TheConsole
from hub.web.context import Console
from hub.web.problem import Problem

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

KIND = "platform_fault"
PRIORITY = 3
"""What a rule without the label ``prioridad`` is taken for."""
MAX_SUMMARY_CHARS = 160


class GrafanaAlert(BaseModel):
    """One alert as Grafana sends it. ``fingerprint`` is the same for firing, repeats and the end."""

    status: Literal["firing", "resolved"]
    fingerprint: str = Field(min_length=1, max_length=100, pattern=r"^[\w:.-]+$")
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def dedup_key(self) -> str:
        return f"{KIND}:{self.fingerprint}"

    @property
    def priority(self) -> int:
        """2 to 4: a fault of the platform is never priority 1, which is people calling for help."""
        asked = self.labels.get("prioridad", "")
        return min(max(int(asked), 2), 4) if asked.isascii() and asked.isdigit() else PRIORITY

    @property
    def summary(self) -> str:
        title = self.annotations.get("summary") or self.labels.get("alertname") or self.fingerprint
        text = ": ".join(part for part in (title, self.annotations.get("description", "")) if part)
        printable = "".join(c if c.isprintable() else " " for c in text).encode("utf-8", "replace").decode()
        return printable if len(printable) <= MAX_SUMMARY_CHARS else f"{printable[: MAX_SUMMARY_CHARS - 1]}…"


async def _alerts_sent(request: Request, console: TheConsole) -> list[object]:
    """Raises :class:`Problem` 403 alike for a wrong token and where no token is set."""
    token = console.settings.grafana_token
    sent = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token or not secrets.compare_digest(sent.encode("utf-8", "replace"), token.encode()):
        raise Problem(403, "La clave de Grafana no corresponde.")
    try:
        body = await request.json()
    except ValueError:
        raise Problem(422, "El cuerpo no es JSON.") from None
    found = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise Problem(422, errors={"alerts": "falta la lista de alertas de Grafana"})
    return found


@router.post("/grafana/alertas")
async def grafana_alerts(
    console: TheConsole, sent: Annotated[list[object], Depends(_alerts_sent)]
) -> Response:
    """Answers how many are firing, over and refused; one that is wrong does not stop the others."""
    alerts, refused = _read(sent)
    firing = {alert.dedup_key: alert for alert in alerts if alert.status == "firing"}
    over = {alert.dedup_key for alert in alerts} - firing.keys()
    await _tell(console, list(firing.values()), sorted(over))
    return JSONResponse({"firing": len(firing), "resolved": len(over), "refused": refused})


def _read(sent: list[object]) -> tuple[list[GrafanaAlert], int]:
    alerts = []
    for number, document in enumerate(sent, 1):
        try:
            alerts.append(GrafanaAlert.model_validate(document))
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, fault["loc"])) or "alert" for fault in error.errors())
            log.warning("alert %d of Grafana is refused: %s is missing or wrong", number, wrong)
    return alerts, len(sent) - len(alerts)


async def _tell(console: Console, firing: list[GrafanaAlert], over: list[str]) -> None:
    if console.on_findings is None:
        raise Problem(503, "Este proceso no abre alertas.")
    if firing or over:
        await console.on_findings([_finding(console, alert) for alert in firing], over)


def _finding(console: Console, alert: GrafanaAlert) -> Finding:
    return Finding(
        rule=KIND,
        kind=KIND,
        priority=alert.priority,
        dedup_key=alert.dedup_key,
        summary=alert.summary,
        # of another machine's clock nothing is taken
        happened_at=console.now(),
        time_quality="receipt",
    )
