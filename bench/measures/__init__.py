"""What is measured: one module each, with ``measure(setting) -> Section``."""

from collections.abc import Awaitable, Callable

from bench.figures import Section
from bench.measures import backlog, edge, growth, hubs, memory, packs, press, telemetry_store, throughput
from bench.setting import Setting

MEASURES: dict[str, Callable[[Setting], Awaitable[Section]]] = {
    "throughput": throughput.measure,
    "packs": packs.measure,
    "press": press.measure,
    "backlog": backlog.measure,
    "hubs": hubs.measure,
    "memory": memory.measure,
    "edge": edge.measure,
    "growth": growth.measure,
    "telemetry_store": telemetry_store.measure,
}
"""In the order of the report."""
