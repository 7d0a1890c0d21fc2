"""Words of a short message: one SMS of 160 characters of the GSM 7-bit alphabet. Pure.

``á í ó ú`` are not in that alphabet and would cut the message to 70 characters, so the text is written
"económico": without those accents, keeping ``é ñ ü ¡ ¿`` (3GPP TS 23.038, section 6.2.1).
"""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

SANTIAGO = ZoneInfo("America/Santiago")
MAX_CHARS = 160
"""Septets of one SMS. Characters that cost two (€ [ ] { } ...) are not used, so it also counts characters."""

GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic table, without its escape character."""

_REPLACEMENTS: Mapping[str, str] = {
    "“": '"', "”": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "`": "'", "´": "'",
    "–": "-", "—": "-", "−": "-", "·": "-", "•": "-", "~": "-",
    "[": "(", "]": ")", "{": "(", "}": ")", "|": "/", "\\": "/", "€": "EUR", "°": "",
}  # fmt: skip

KIND_WORDS: Mapping[str, str] = {
    "panic": "PANICO",
    "man_down": "PERSONA CAIDA",
    "smoke": "HUMO",
    "smoke_suspected": "POSIBLE HUMO",
    "tamper": "SABOTAJE",
    "camera_moved": "CAMARA MOVIDA",
    "gate_open": "PORTON ABIERTO",
    "river_high": "CRECIDA",
    "battery_low": "BATERIA BAJA",
    "device_silent": "SIN SEÑAL",
    "gateway_silent": "EQUIPO SIN SEÑAL",
    "sensor_failed": "SENSOR CON FALLA",
    "community_alarm": "ALARMA COMUNITARIA",
    "fire_weather": "PELIGRO INCENDIO",
    "river_rising": "RIO SUBE RAPIDO",
    "tank_low": "ESTANQUE BAJO",
    "pump_theft": "ROBO DE BOMBA",
    "gate_left_open": "PORTON SIN CERRAR",
    "cattle_theft": "GANADO FUERA",
    "collar_silent": "COLLAR SIN SEÑAL",
    "cable_cut": "CABLE CORTADO",
    "transformer_tilt": "TRANSFORMADOR INCLINADO",
    "transformer_dark": "TRANSFORMADOR SIN LUZ",
    "rule_failed": "REGLA CON FALLA",
    "rule_flood": "DEMASIADOS AVISOS",
    "room_silent": "CENTRAL SIN OPERADOR",
    "transport_down": "TRANSPORTE CAIDO",
    "transport_credit": "SALDO BAJO",
    "platform_fault": "FALLA PLATAFORMA",
    "sms_help": "PIDE AYUDA",
    "sms_stranger": "NUMERO NO INSCRITO",
    "drill": "SIMULACRO",
}
_MAX_KIND_CHARS = 24
_MAX_CODE_CHARS = 12
_MAX_NUMBER_CHARS = 16


def economic(text: str) -> str:
    """The text in the GSM 7-bit alphabet: accents that it lacks dropped, white space folded."""
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    return " ".join("".join(_economic_char(char) for char in folded).split())


def _economic_char(char: str) -> str:
    if char in GSM7:
        return char
    if char in _REPLACEMENTS:
        return _REPLACEMENTS[char]
    return "".join(c for c in unicodedata.normalize("NFKD", char) if c in GSM7)


def kind_word(kind: str) -> str:
    """The short Spanish word of a kind; an unknown kind is shown as it is, readable."""
    return KIND_WORDS.get(kind) or economic(kind.replace("_", " ").upper())[:_MAX_KIND_CHARS] or "ALERTA"


def local_time(at: datetime, now: datetime) -> str:
    """``21:04``; with the day in front, ``23-11 21:04``, when that is not today in Chile."""
    local = at.astimezone(SANTIAGO)
    is_today = local.date() == now.astimezone(SANTIAGO).date()
    return f"{local:%H:%M}" if is_today else f"{local:%d-%m %H:%M}"


def alert_text(
    *,
    code: str,
    kind: str,
    place: str,
    happened_at: datetime,
    now: datetime,
    emergency_number: str,
    is_drill: bool = False,
) -> str:
    """What neighbours and the duty phone read of an alert that may need somebody to act."""
    sentences = ["Responda 1 voy, 2 sin novedad, 3 ayuda.", "No se enfrente."]
    if number := economic(emergency_number)[:_MAX_NUMBER_CHARS]:
        sentences.append(f"Emergencia {number}.")
    return _compose("SIMULACRO" if is_drill else "ALERTA", code, kind, place, happened_at, now, sentences)


def notice_text(
    *, code: str, kind: str, place: str, happened_at: datetime, now: datetime, is_drill: bool = False
) -> str:
    """What the duty phone reads of equipment and of what can wait: nobody is in danger."""
    head = "SIMULACRO" if is_drill else "AVISO"
    return _compose(head, code, kind, place, happened_at, now, ["Revise la consola."])


def question_text(
    *, code: str, kind: str, place: str, happened_at: datetime, now: datetime, is_drill: bool = False
) -> str:
    """What neighbours read of something that nobody has confirmed yet: they are asked what they see."""
    head = "SIMULACRO ¿CONFIRMA?" if is_drill else "¿CONFIRMA?"
    sentences = ["Mire sin acercarse. Responda 1 voy, 2 sin novedad, 3 ayuda."]
    return _compose(head, code, kind, place, happened_at, now, sentences)


def restricted_text(*, code: str, happened_at: datetime, now: datetime) -> str:
    """A text that tells nothing to whoever reads the phone over a shoulder: no kind, no place."""
    return f"AVISO {_code(code)}, {local_time(happened_at, now)}. Revise la consola."


def elapsed_text(waited_s: int) -> str:
    """``30 s``, ``2 min``, ``90 s``, ``26 h``: exact, so that no two reminders of an alert read the same."""
    for size, unit in ((3600, "h"), (60, "min")):
        if waited_s >= size and waited_s % size == 0:
            return f"{waited_s // size} {unit}"
    return f"{waited_s} s"


def reminder_text(
    *,
    code: str,
    kind: str,
    place: str,
    happened_at: datetime,
    now: datetime,
    lack: str,
    waited_s: int,
    is_drill: bool = False,
    is_restricted: bool = False,
) -> str:
    """What the next person reads when nobody took an alert; ``lack``: ``SIN ACUSE``, ``SIN DESPACHO``."""
    missing = f"{lack} HACE {elapsed_text(waited_s)}"
    if is_restricted:
        start = f"AVISO {_code(code)}, {local_time(happened_at, now)}."
        return economic(f"{start} {missing.capitalize()}. Revise la consola.")
    head = f"SIMULACRO {missing}" if is_drill else missing
    return _compose(head, code, kind, place, happened_at, now, ["Revise la consola."])


def _code(code: str) -> str:
    return economic(code)[:_MAX_CODE_CHARS]


def _compose(
    head: str,
    code: str,
    kind: str,
    place: str,
    happened_at: datetime,
    now: datetime,
    sentences: list[str],
) -> str:
    start = f"{head} {_code(code)} {kind_word(kind)}"
    end = f", {local_time(happened_at, now)}. {' '.join(sentences)}"
    shown = shorten(economic(place), MAX_CHARS - len(start) - len(end) - 1)
    return f"{start} {shown}{end}" if shown else start + end


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut between words where that keeps at least half of them."""
    if len(text) <= limit:
        return text
    cut = text[: max(0, limit)]
    at_word = cut.rpartition(" ")[0]
    return (at_word if 2 * len(at_word) >= len(cut) else cut).rstrip(" ,.;-")
