"""What only modems have, as Prometheus figures under the modem's name; never a number, a text or a person.

Signal, credit and queue are figures of every transport.
"""

import math

from hub.metrics import Metrics
from hub.notify.transports.modem.state import ModemState


def publish(metrics: Metrics, state: ModemState) -> None:
    """Set every gauge of one modem; NaN is what is not known."""
    name = state.name
    metrics.modem_dead.labels(name).set(state.is_dead)
    metrics.modem_registered.labels(name).set(state.registration.is_registered)
    metrics.modem_memory_used.labels(name).set(math.nan if state.memory_used is None else state.memory_used)
    metrics.modem_parts.labels(name).set(state.sent_parts)
    metrics.modem_failures.labels(name).set(state.failed_texts)
    metrics.modem_restarts.labels(name).set(state.restarts)
    metrics.modem_resets.labels(name).set(state.resets)
