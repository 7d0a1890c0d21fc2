"""Spanish words and times for people. What the rooms below already name is taken from them."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

_MONTHS = "ene feb mar abr may jun jul ago sep oct nov dic".split()

RESTRICTED_LABEL = "Atención reservada"

KINDS: dict[str, str] = {
    "panic": "Botón de pánico",
    "duress": RESTRICTED_LABEL,
    "man_down": "Persona caída",
    "smoke": "Humo",
    "tamper": "Sabotaje",
    "camera_moved": "Cámara desviada",
    "camera_covered": "Cámara tapada",
    "gate_open": "Portón abierto",
    "sensor_failed": "Sensor con falla",
    "battery_low": "Batería baja",
    "river_high": "Crecida del río",
    "community_alarm": "Alarma comunitaria",
    "smoke_suspected": "Posible humo",
    "fire_weather": "Peligro de incendio",
    "river_rising": "El río sube rápido",
    "tank_low": "Estanque bajo",
    "pump_theft": "Posible robo de bomba",
    "gate_left_open": "Portón sin cerrar",
    "cattle_theft": "Ganado fuera del potrero",
    "collar_silent": "Collar sin señal",
    "cable_cut": "Cable cortado",
    "transformer_tilt": "Transformador inclinado",
    "transformer_dark": "Transformador sin tensión",
    "rule_failed": "Regla con falla",
    "rule_flood": "Regla con demasiados avisos",
    "device_silent": "Sin señal",
    "gateway_down": "Equipo caído",
    "gateway_silent": "Equipo sin señal",
    "room_silent": "Central sin operador",
    "transport_down": "Transporte sin servicio",
    "transport_credit": "Saldo bajo",
    "platform_fault": "Falla de la plataforma",
    "sms_help": "Pide ayuda por SMS",
    "sms_stranger": "Mensaje de número no inscrito",
    "drill": "Simulacro",
    "flapping": "Falla repetida",
}

PRIORITIES: dict[int, str] = {1: "Vida", 2: "En curso", 3: "Bienes", 4: "Mantención"}

REFUSAL_CAUSES: dict[str, str] = {
    "unknown_gateway": "Equipo desconocido",
    "unknown_device": "Dispositivo no registrado",
    "foreign_device": "Dispositivo de otro equipo",
    "malformed": "Mensaje mal formado",
    "too_large": "Mensaje demasiado grande",
    "bad_topic": "Tema desconocido",
    "id_clash": "Mismo identificador, otro contenido",
    "unstorable": "No se pudo guardar",
}

TIME_QUALITIES: dict[str, str] = {
    "device": "reloj del dispositivo",
    "age": "calculada por antigüedad",
    "receipt": "hora de recepción",
}


def named(table: dict[str, str], key: str) -> str:
    """The Spanish word, or the key itself made readable: an unknown kind is kept and shown as such."""
    return table.get(key) or key.replace("_", " ").replace(".", " ").capitalize()


class Wall:
    """The clock on the room's wall: instants as people of the commune read them."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def clock(self, at: datetime) -> str:
        """21:04:12"""
        return f"{at.astimezone(self._zone):%H:%M:%S}"

    def day(self, at: datetime) -> str:
        """23 nov 2026"""
        local = at.astimezone(self._zone)
        return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"

    def moment(self, at: datetime, now: datetime) -> str:
        """21:04:12 today, else 23 nov 21:04, with the year when it is another."""
        local, today = at.astimezone(self._zone), now.astimezone(self._zone)
        if local.date() == today.date():
            return f"{local:%H:%M:%S}"
        year = "" if local.year == today.year else f" {local.year}"
        return f"{local.day} {_MONTHS[local.month - 1]}{year} {local:%H:%M}"

    def stamp(self, at: datetime) -> str:
        """2026-11-24T21:04:12.000-03:00"""
        return at.astimezone(self._zone).isoformat(timespec="milliseconds")

    def hour(self, at: datetime) -> str:
        """21:04, local."""
        return f"{at.astimezone(self._zone):%H:%M}"

    def instant(self, text: str) -> datetime:
        """A local date and time (2026-11-24 21:00, or with a T between), aware; else ValueError."""
        return datetime.strptime(text.strip().replace("T", " ")[:16], "%Y-%m-%d %H:%M").replace(
            tzinfo=self._zone
        )

    def today(self, now: datetime) -> date:
        """The day that it is in the commune."""
        return now.astimezone(self._zone).date()

    def field(self, at: datetime) -> str:
        """As a field of a form takes it: 2026-11-24T21:04."""
        return f"{at.astimezone(self._zone):%Y-%m-%dT%H:%M}"

    def midnight(self, day: str) -> datetime:
        """The local start of ``day`` (YYYY-MM-DD), aware; raises ValueError for anything else."""
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=self._zone)


def figure(value: float | None, unit: str = "") -> str:
    """12,3 °C; 1.234 m: three or four digits that count, as written in Chile."""
    if value is None:
        return "sin datos"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    number = f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))
    if "," in number:
        number = number.rstrip("0").rstrip(",")
    return f"{number} {unit}".rstrip()


def span(seconds: int) -> str:
    """15 s, 2 min, 24 h."""
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def brief(seconds: float) -> str:
    """9 s, 2,4 min, 1 h 05: how long something took, in few signs."""
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 9.95:
        return f"{minutes:.1f} min".replace(".", ",").replace(",0 ", " ")
    return f"{minutes:.0f} min" if minutes < 59.5 else f"{int(minutes // 60)} h {int(minutes % 60):02}"


def left(due_at: datetime, now: datetime) -> str:
    """quedan 0:42, or vencido hace 3:10. Mirrored by static/js/time.js."""
    return f"quedan {age(now, due_at)}" if now < due_at else f"vencido hace {age(due_at, now)}"


def age(at: datetime, now: datetime) -> str:
    """0:42 below ten minutes, then 25 min, 3 h 05, 2 d 4 h. Mirrored by static/js/time.js."""
    seconds = max(0, int((now - at).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 10:
        return f"{minutes}:{seconds % 60:02}"
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60:02}"
    return f"{days} d {hours % 24} h"
