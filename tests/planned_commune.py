"""A commune with its history, the example plan in force and eleven frozen months."""

import importlib.resources
from dataclasses import replace
from datetime import UTC, date, datetime

import commune_history

from hub.alerts import catalogue
from hub.database import Pool
from hub.plan import service
from hub.plan.facts import Asking
from hub.plan.loading import load_plan, load_topics
from hub.plan.model import Plan
from hub.plan.parameters import parameters_of
from hub.plan.periods import last_periods, parse_period
from hub.plan.versions import Evidence, add_evidence, store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOADED = datetime(2026, 1, 5, tzinfo=UTC)


def example() -> Plan:
    text = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
    return load_plan(text, load_topics()).plan


async def fill(pool: Pool, months: int = 11) -> Plan:
    topics, plan = load_topics(), example()
    await commune_history.fill(pool)
    await store(pool, plan, topics, author="secretaria", now=LOADED)
    evidence = Evidence("O2C1A1", date(2026, 9, 3), "acta de instalación", "acta.pdf", "ab" * 32, "jaime")
    await add_evidence(pool, plan, evidence, NOW)
    asking = Asking(as_of=NOW, parameters=parameters_of(catalogue.load()))
    labels = [one.label for one in last_periods(parse_period("2026-10"), months)]
    for label in (*labels, "2026-T1", "2026-T2", "2026-T3", "2026-W45", "2026-W46"):
        await service.freeze(pool, topics, parse_period(label), replace(asking, as_of=NOW), author="jaime")
    return plan
