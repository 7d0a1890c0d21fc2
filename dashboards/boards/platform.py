"""Plataforma: intake, lag, gateways, errors. For who keeps the hub alive."""

from dashboards.builder import Board, Panel, chart, prom, rows, stat, table
from dashboards.defaults import falling, rising


def connected() -> Panel:
    query = prom("min(almenara_broker_connected)", is_series=False)
    return stat(
        "Conexión al broker",
        "1: todas las vías conectadas; 0: alguna cortada.",
        query,
        "none",
        falling(1, 1),
        path="/dispositivos",
    )


def ways_up() -> Panel:
    query = prom("min(almenara_transport_up)", is_series=False)
    return stat(
        "Transportes",
        "1: todos en servicio; 0: alguno caído.",
        query,
        "none",
        falling(1, 1),
        path="/transportes",
    )


def waiting() -> Panel:
    query = prom("sum(almenara_telemetry_waiting_bytes)", is_series=False)
    return stat(
        "Telemetría en espera",
        "Confirmada en nuestro disco y todavía no en InfluxDB.",
        query,
        "bytes",
        rising(1e8, 1e9),
        path="/dispositivos",
    )


def restarts() -> Panel:
    query = prom("sum(delta(almenara_server_restarts[1d]))", is_series=False)
    return stat(
        "Reinicios en un día",
        "De los servidores incluidos.",
        query,
        "none",
        rising(1, 5),
        path="/dispositivos",
    )


def intake() -> Panel:
    query = prom("sum by (lane) (rate(almenara_messages_total[5m]))", "{{lane}}")
    return chart("Mensajes por segundo", "Recibidos, por vía.", query, "cps", path="/dispositivos")


def lag() -> Panel:
    query = prom(
        "histogram_quantile(0.99, sum by (le, lane) (rate(almenara_commit_seconds_bucket[5m])))", "{{lane}}"
    )
    return chart(
        "Lote a confirmación, p99",
        "Desde que un lote se junta hasta que está guardado.",
        query,
        "s",
        rising(0.05, 0.5),
        path="/dispositivos",
    )


def notify() -> Panel:
    query = prom("histogram_quantile(0.99, sum by (le) (rate(almenara_notify_seconds_bucket[5m])))", "p99")
    return chart(
        "Aviso a transporte, p99",
        "Desde que llega el evento hasta que el primer aviso sale.",
        query,
        "s",
        rising(0.05, 1),
        path="/transportes",
    )


def refused() -> Panel:
    query = prom("sum by (cause) (rate(almenara_refused_total[5m]))", "{{cause}}")
    return chart(
        "Rechazos por segundo",
        "Mensajes que el hub no aceptó, por causa.",
        query,
        "cps",
        rising(0.1, 1),
        path="/dispositivos",
    )


def gateways() -> Panel:
    query = rows("""
select gateway as "Equipo", state as "Estado", version as "Versión", clock as "Reloj",
  status_at as "Última noticia",  devices as "Dispositivos"
from panels.gateways order by state, status_at nulls first limit 500
""")
    return table("Equipos de terreno", "Los cortados primero.", query, width=24, path="/dispositivos")


PLATFORM = Board(
    uid="almenara-plataforma",
    title="Plataforma",
    doc="Entrada, demoras, equipos y errores: para quien mantiene el hub.",
    panels=(connected(), ways_up(), waiting(), restarts(), intake(), lag(), notify(), refused(), gateways()),
    span="now-6h",
    refresh="30s",
)
