"""Prometheus metrics of one hub process. Labels are never a person, a phone or a place."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """Counters are made here and nowhere else, so this file is the list of what the hub tells."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.messages = Counter(
            "almenara_messages", "MQTT messages taken from the broker", ["lane"], registry=r
        )
        self.stored = Counter("almenara_stored", "Events or measurements stored", ["lane"], registry=r)
        self.duplicates = Counter("almenara_duplicates", "Repeats stopped at their key", ["lane"], registry=r)
        self.clashes = Counter(
            "almenara_id_clashes", "Two different events under one id; the first one stays", registry=r
        )
        self.refused = Counter("almenara_refused", "Messages not taken in, by cause", ["cause"], registry=r)
        self.future = Counter(
            "almenara_future_times", "Messages that claimed a time yet to come", ["lane"], registry=r
        )
        self.unknown_types = Counter(
            "almenara_unknown_event_types", "Events of a type that no rule knows", registry=r
        )
        self.filed = Counter(
            "almenara_findings_filed",
            "Findings that opened no alert: late, or held back by a breaker",
            registry=r,
        )
        self.timers = Counter("almenara_rule_timers", "Timers of rules that ran out", registry=r)
        self.receipts = Counter("almenara_receipts", "Ids confirmed to gateways", registry=r)
        self.alerts = Counter("almenara_alerts_opened", "Alerts opened", ["kind"], registry=r)
        self.notifications = Counter(
            "almenara_notifications_sent", "Notifications handed over", ["transport"], registry=r
        )
        self.commit_s = Histogram(
            "almenara_commit_seconds", "From batch to commit", ["lane"], buckets=_LATENCY_S, registry=r
        )
        self.notify_s = Histogram(
            "almenara_notify_seconds",
            "From receipt of the event to the transport",
            buckets=_LATENCY_S,
            registry=r,
        )
        self.transport_up = Gauge(
            "almenara_transport_up", "1 while texts can leave by it", ["transport"], registry=r
        )
        self.transport_held_back = Gauge(
            "almenara_transport_held_back", "1 while its breaker is open", ["transport"], registry=r
        )
        self.transport_signal = Gauge(
            "almenara_transport_signal_dbm", "Signal of its antenna", ["transport"], registry=r
        )
        self.transport_queue = Gauge(
            "almenara_transport_queue", "Texts that wait inside it", ["transport"], registry=r
        )
        self.transport_credit = Gauge(
            "almenara_transport_credit", "What is left at the provider", ["transport"], registry=r
        )
        self.transport_s = Gauge(
            "almenara_transport_seconds_per_text", "Mean of the last texts", ["transport"], registry=r
        )
        self.connected = Gauge(
            "almenara_broker_connected", "1 while the lane is connected", ["lane"], registry=r
        )
        self.telemetry_waiting = Gauge(
            "almenara_telemetry_waiting_bytes",
            "Confirmed telemetry on our disk that InfluxDB does not have yet",
            registry=r,
        )
        self.telemetry_dropped = Counter(
            "almenara_telemetry_dropped", "Readings that a full spool had to give up", registry=r
        )
        self.telemetry_rejected = Counter(
            "almenara_telemetry_rejected",
            "Readings that InfluxDB does not take; see rejected.lines",
            registry=r,
        )
        self.restarts = Gauge(
            "almenara_server_restarts", "Restarts of an embedded server", ["server"], registry=r
        )

        self._add_modems()

    def _add_modems(self) -> None:
        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(f"almenara_modem_{name}", documentation, ["modem"], registry=self.registry)

        self.modem_dead = gauge("dead", "1 after reopening and resetting did not help")
        self.modem_registered = gauge("registered", "1 while the SIM is in a network")
        self.modem_memory_used = gauge("memory_used", "Messages in the memory that receives")
        self.modem_parts = gauge("parts_sent", "Parts that the network took, since the start")
        self.modem_failures = gauge("failures", "Texts that did not go out, since the start")
        self.modem_restarts = gauge("restarts", "Times the modem was lost and opened again, since the start")
        self.modem_resets = gauge("resets", "Times the modem was reset, since the start")

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
