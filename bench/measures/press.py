"""From a press to the text handed to the transport, with telemetry behind it.

Every press is of a button of its own, so each opens an alert and queues a text. ``end to end`` runs from
the publish at the gateway; ``hub`` from the broker's delivery, which is taken as the earlier of two proofs:
the broker's PUBACK at the publisher, or the press at one more subscriber. Both end when the file transport
has written the line (``sent_at``, taken after the write). All clocks are this machine's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from bench import fleet
from bench.figures import Figure, Ratio, Section, figure, quantile, ratios
from bench.fleet import FIRST_BUTTON
from bench.ground import Broker, Hub
from bench.setting import PLAIN, Setting

RATES = (0, 500, 2000)
WAITING_TEXTS = 10_000
_LEAD_S = 1.0
"""Telemetry flows for so long before the first press."""

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Latencies:
    """Milliseconds of one run, one for each press that became a text; ``lost`` counts the others.

    ``pressed_us`` are the moments of the same presses, in Unix microseconds.
    """

    hub_ms: list[float]
    whole_ms: list[float]
    lost: int
    pressed_us: list[int] = field(default_factory=list)


async def measure(setting: Setting) -> Section:
    found: dict[str, list[Latencies]] = {
        name: [] for hub in setting.trees for name in (*(_name(hub, rate) for rate in RATES), _waiting(hub))
    }
    for index in range(setting.scale.press_rounds):
        for hub in setting.trees:
            runs = await _one_hub(setting, hub) | {_waiting(hub): await _behind_texts(setting, hub)}
            for name, latencies in runs.items():
                found[name].append(latencies)
                p50, p99 = quantile(latencies.hub_ms, 0.5), quantile(latencies.hub_ms, 0.99)
                setting.say(f"press {index + 1}: {name}: p50 {p50:.2f}, p99 {p99:.2f} ms")
    return _section(setting, found)


def _name(hub: str, rate: int) -> str:
    return f"{hub}, behind {rate:,} msg/s"


def _waiting(hub: str) -> str:
    return f"{hub}, behind {WAITING_TEXTS:,} waiting texts"


# Bulletins, which leave one by one, every six seconds.
_FILL_TEXTS = """
    insert into notifications (notification_id, recipient, priority, purpose, text, due_at, created_at)
    select gen_random_uuid(), 'vecino', 4, 'bulletin', 'boletín ' || n,
      now() + interval '10 minutes' + n * interval '6 seconds', now()
    from generate_series(1, %d) n
"""


async def _one_hub(setting: Setting, name: str) -> dict[str, Latencies]:
    """All rates on one hub, each with buttons that nobody has pressed before."""
    ground = setting.ground
    async with (
        ground.database(PLAIN) as database,
        ground.broker() as broker,
        ground.hub(broker, database, setting.trees[name]) as hub,
    ):
        found = {}
        for index, rate in enumerate(RATES):
            first = FIRST_BUTTON + index * setting.scale.presses
            found[_name(name, rate)] = await presses(setting, broker, hub, database, rate, first)
        return found


async def _behind_texts(setting: Setting, name: str) -> Latencies:
    """A hub of its own: like the presses behind nothing, these are the first of its life."""
    ground = setting.ground
    async with ground.database(PLAIN) as database, ground.broker() as broker:
        await ground.query(database, _FILL_TEXTS % WAITING_TEXTS)
        await ground.query(database, "analyze notifications")
        async with ground.hub(broker, database, setting.trees[name]) as hub:
            return await presses(setting, broker, hub, database, 0, FIRST_BUTTON)


async def presses(
    setting: Setting,
    broker: Broker,
    hub: Hub,
    database: str,
    rate: int,
    first_button: int,
    press_rate: int | None = None,
) -> Latencies:
    """Press every button once while ``rate`` packs a second flow, and look when each text was sent."""
    count = setting.scale.presses
    log = hub.folder / f"presses-{first_button}.csv"
    options = {
        "leaf": "alarm",
        "count": count,
        "devices": count,
        "first_device": first_button,
        "rate": press_rate or setting.scale.press_rate,
        "jitter": 1,
        "witness": 1,
        "receipts": 1,
        "log": log,
        "seed": setting.next_seed(),
    }
    async with _telemetry(setting, broker, rate):
        found = await fleet.load(setting.ground.programs, broker.port, **options)
        sent_at: dict[int, int] = {}
        with contextlib.suppress(TimeoutError):  # what is missing then is counted as lost
            async with asyncio.timeout(_PATIENCE_S):
                while len(sent_at) < count:
                    await asyncio.sleep(0.1)
                    sent_at = await _texts(setting, database, hub, first_button, count)
    latencies = _latencies(log, sent_at)
    return replace(latencies, lost=max(latencies.lost, count - found.receipts))


@contextlib.asynccontextmanager
async def _telemetry(setting: Setting, broker: Broker, rate: int) -> AsyncIterator[None]:
    """Packs of one record flow at ``rate`` until the context is left."""
    if not rate:
        yield
        return
    seconds = setting.scale.presses / setting.scale.press_rate + 30
    options = {"leaf": "telemetry", "count": int(rate * seconds), "rate": rate, "seed": setting.next_seed()}
    async with fleet.loading(setting.ground.programs, broker.port, **options):
        await asyncio.sleep(_LEAD_S)
        yield


_TEXTS = """
    select d.source, (extract(epoch from n.sent_at) * 1000000)::bigint, n.notification_id::text
    from notifications n join alerts a using (alert_id) join devices d using (device_id)
    where n.state = 'sent' and d.source = any($1)
"""


async def _texts(setting: Setting, database: str, hub: Hub, first_button: int, count: int) -> dict[int, int]:
    """Button → Unix microseconds at which its text had been written to the transport's file."""
    wanted = {fleet.source_of(n): n for n in range(first_button, first_button + count)}
    rows = await setting.ground.query(database, _TEXTS, list(wanted))
    # A mark in the database alone proves no text.
    written = _written(hub.texts)
    return {wanted[source]: at_us for source, at_us, id_ in rows if id_ in written}


def _written(texts: Path) -> set[str]:
    """Ids of the texts that the file holds: a mark in the database alone proves no text."""
    lines = texts.read_bytes().splitlines() if texts.exists() else []
    return {msgspec.json.decode(line)["notification_id"] for line in lines}


def _latencies(log: Path, sent_at: dict[int, int]) -> Latencies:
    hub_ms, whole_ms, pressed_us, lost = [], [], [], 0
    for line in log.read_text().splitlines():
        button, sent_us, acked_us, witnessed_us = (int(word) for word in line.split(","))
        if button not in sent_at:
            lost += 1
            continue
        delivered_us = min(at for at in (acked_us, witnessed_us) if at)
        hub_ms.append((sent_at[button] - delivered_us) / 1000)
        whole_ms.append((sent_at[button] - sent_us) / 1000)
        pressed_us.append(sent_us)
    return Latencies(hub_ms, whole_ms, lost, pressed_us)


# ------------------------------------------------------------------------------------------ section


def _section(setting: Setting, found: dict[str, list[Latencies]]) -> Section:
    def p(hub: str, rate: int, share: float) -> list[float]:
        return [quantile(run.hub_ms, share) for run in found[_name(hub, rate)]]

    def waiting(hub: str, share: float) -> list[float]:
        return [quantile(run.hub_ms, share) for run in found[_waiting(hub)]]

    kept = []
    for hub in setting.trees:
        kept += [
            *(
                Ratio(
                    f"{hub} p{share * 100:.0f}: behind {WAITING_TEXTS:,} waiting texts / behind none",
                    ratios(waiting(hub, share), p(hub, 0, share)),
                    budget="<= 1.5",
                )
                for share in (0.5, 0.99)
            ),
            Ratio(f"{hub} p50 behind 2,000 msg/s", figure(p(hub, 2000, 0.5)), "ms", "<= 2.5"),
            Ratio(f"{hub} p99 behind 2,000 msg/s", figure(p(hub, 2000, 0.99)), "ms", "<= 10"),
            Ratio(
                f"{hub} p99: behind 2,000 msg/s / behind none",
                ratios(p(hub, 2000, 0.99), p(hub, 0, 0.99)),
                budget="<= 1.5",
            ),
            # Presses are rare: the one that matters finds a hub that has not seen one for hours.
            Ratio(
                f"{hub}: first press after the start",
                figure([r.hub_ms[0] for r in found[_name(hub, 0)] if r.hub_ms]),
                "ms",
            ),
        ]
    return Section(
        title="From a press to the text handed to the transport",
        ratios=kept,
        columns=["hub p50 ms", "hub p99 ms", "hub max ms", "end to end p50 ms", "p99 ms", "max ms", "lost"],
        rows={name: _row(runs) for name, runs in found.items()},
        lost=sum(run.lost for runs in found.values() for run in runs),
        notes=[
            f"{setting.scale.presses} presses a run, {setting.scale.press_rate}/s, each at a random moment.",
            "Every press opens an alert, committed to disk before its text is sent.",
            "hub: from the broker's delivery; end to end: from the publish. Until the transport has written.",
        ],
    )


def _row(runs: list[Latencies]) -> dict[str, Figure]:
    row = {}
    for title, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        row[f"hub {title} ms"] = figure([quantile(run.hub_ms, share) for run in runs])
        whole = "end to end p50 ms" if title == "p50" else f"{title} ms"
        row[whole] = figure([quantile(run.whole_ms, share) for run in runs])
    row["lost"] = figure([run.lost for run in runs])
    return row
