"""Measurements a second in SenML packs of 1, 10 and 100 records."""

from bench.figures import Figure, Ratio, Section, figure, ratios
from bench.measures import hub_run
from bench.measures.hub_run import Run
from bench.setting import PLAIN, Setting

RECORDS = (1, 10, 100)


async def measure(setting: Setting) -> Section:
    names = [f"{name}, {records} a pack" for name in setting.trees for records in RECORDS]
    runs: dict[str, list[tuple[Run, int]]] = {name: [] for name in names}
    for index in range(setting.scale.rounds):
        for hub in setting.trees:
            for records in RECORDS:
                found = await _run(setting, hub, records)
                runs[f"{hub}, {records} a pack"].append(found)
                rate = found[0].rate * records
                setting.say(f"packs {index + 1}: {hub}, {records} records: {rate:,.0f} measurements/s")
    return _section(setting, runs)


def _packs(setting: Setting, records: int) -> int:
    """Fewer of the large ones; never so few that a hub's batch holds all."""
    return max(setting.scale.packs // {1: 1, 10: 2, 100: 10}[records], 200)


async def _run(setting: Setting, hub_name: str, records: int) -> tuple[Run, int]:
    """The run, and how many measurements are missing."""
    ground, packs = setting.ground, _packs(setting, records)
    async with (
        ground.database(PLAIN) as database,
        ground.broker() as broker,
        ground.hub(broker, database, setting.trees[hub_name]) as hub,
    ):
        run = await hub_run.flat_out(setting, broker, hub, packs, leaf="telemetry", records=records)
        stored = await ground.count(database, "telemetry")
    return run, packs * records - stored


def _section(setting: Setting, runs: dict[str, list[tuple[Run, int]]]) -> Section:
    def rates(hub: str, records: int) -> list[float]:
        return [run.rate * records for run, _ in runs[f"{hub}, {records} a pack"]]

    return Section(
        title="Measurements a second, by size of the SenML pack",
        ratios=[
            Ratio(f"{hub}: {records} a pack / 1 a pack", ratios(rates(hub, records), rates(hub, 1)))
            for hub in setting.trees
            for records in RECORDS[1:]
        ],
        columns=["measurements/s", "packs/s", "CPU s/1,000 hub", "database", "broker", "lost"],
        rows={name: _row(found, int(name.split()[-3])) for name, found in runs.items()},
        lost=sum(lost for found in runs.values() for _, lost in found),
        notes=["CPU seconds are for 1,000 measurements.", "A pack's receipt confirms all of its records."],
    )


def _row(found: list[tuple[Run, int]], records: int) -> dict[str, Figure]:
    each = [run.cpu_per_1000() for run, _ in found]
    return {
        "measurements/s": figure([run.rate * records for run, _ in found]),
        "packs/s": figure([run.rate for run, _ in found]),
        "CPU s/1,000 hub": figure([cpu.hub / records for cpu in each]),
        "database": figure([cpu.database / records for cpu in each]),
        "broker": figure([cpu.broker / records for cpu in each]),
        "lost": figure([lost for _, lost in found]),
    }
