"""A modem's state as Prometheus figures, under its name; never a number, a text or a person."""

import math

from hub.metrics import Metrics
from hub.notify.transports.modem.state import ModemState


def publish(metrics: Metrics, state: ModemState) -> None:
    """Set every gauge of one modem; NaN is what is not known."""
    name = state.name
    metrics.modem_usable.labels(name).set(state.is_ok)
    metrics.modem_dead.labels(name).set(state.is_dead)
    metrics.modem_registered.labels(name).set(state.registration.is_registered)
    metrics.modem_signal_dbm.labels(name).set(_figure(state.signal_dbm))
    metrics.modem_credit.labels(name).set(_figure(state.credit))
    metrics.modem_memory_used.labels(name).set(_figure(state.memory_used))
    metrics.modem_parts.labels(name).set(state.sent_parts)
    metrics.modem_failures.labels(name).set(state.failed_texts)
    metrics.modem_restarts.labels(name).set(state.restarts)
    metrics.modem_resets.labels(name).set(state.resets)


def _figure(value: float | None) -> float:
    return math.nan if value is None else value
