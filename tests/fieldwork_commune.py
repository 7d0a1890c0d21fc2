"""An evening in the street for tests: an inspector, an operation with points and tasks, a round, permits."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.database import Pool
from hub.fieldwork import patrols, permits
from hub.operations import service
from hub.operations.model import Draft, Institution, Point, Task

REGISTER = "folio,rubro,lugar,hasta\nPV-0001,artesanía,Costanera 120,{until}\nPV-0002,bebidas,Plaza,{since}\n"
LATITUDE, LONGITUDE = -34.39, -72.01


@dataclass(frozen=True)
class Evening:
    operation_id: uuid.UUID
    folio: str
    round_id: uuid.UUID
    code: str


async def fill(pool: Pool, now: datetime) -> Evening:
    """All of it around ``now``, so that it is on whatever day a browser believes to live in."""
    await pool.execute(
        "insert into sectors (sector, name) values ('COSTA', 'Costanera') on conflict do nothing"
    )
    operation = await service.plan(
        pool,
        Draft(
            kind="street_trade",
            name="Costanera segura",
            sector="COSTA",
            planned_start=now - timedelta(hours=1),
            planned_end=now + timedelta(hours=3),
            legal_basis=("Ordenanza 07 art. 12",),
            institutions=(
                Institution(name="DSP", role="leads", acting="autonomous", headcount=3),
                Institution(name="Carabineros", assists="DSP", headcount=2),
            ),
            points=(
                Point(id="P1", name="Muelle", latitude=LATITUDE, longitude=LONGITUDE),
                Point(id="P2", name="Feria", latitude=LATITUDE - 0.004, longitude=LONGITUDE),
            ),
            tasks=(
                Task(phase="before", task="Revisar chalecos", institution="DSP"),
                Task(phase="during", task="Recorrer la costanera", institution="DSP"),
            ),
        ),
        author="jaime",
        now=now,
    )
    point = await patrols.add_checkpoint(
        pool,
        name="Muelle",
        sector="COSTA",
        latitude=LATITUDE,
        longitude=LONGITUDE,
        radius_m=60,
        author="jaime",
        now=now,
    )
    round_id = await patrols.plan_round(
        pool,
        name="Ronda costanera",
        institution="DSP",
        starts_at=now - timedelta(minutes=30),
        ends_at=now + timedelta(hours=4),
        max_gap_s=3600,
        codes=[point.code],
        author="jaime",
        now=now,
    )
    text = REGISTER.format(until=(now + timedelta(days=90)).date(), since=(now - timedelta(days=20)).date())
    await permits.import_permits(pool, text, "registro.csv", now)
    return Evening(operation.operation_id, operation.folio, round_id, point.code)
