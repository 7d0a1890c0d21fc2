"""What happens in the fictional commune, how often, when and how it ends. Figures are invented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

DAY = (
    0.3,
    0.2,
    0.2,
    0.2,
    0.2,
    0.3,
    0.6,
    1.0,
    1.3,
    1.4,
    1.4,
    1.5,
    1.5,
    1.4,
    1.4,
    1.4,
    1.5,
    1.6,
    1.6,
    1.5,
    1.3,
    1.0,
    0.7,
    0.5,
)
NIGHT = (
    2.4,
    2.2,
    1.9,
    1.5,
    1.0,
    0.6,
    0.3,
    0.2,
    0.2,
    0.3,
    0.3,
    0.4,
    0.4,
    0.4,
    0.4,
    0.5,
    0.6,
    0.7,
    0.9,
    1.2,
    1.6,
    2.0,
    2.4,
    2.6,
)
AFTERNOON = (
    0.1,
    0.1,
    0.0,
    0.0,
    0.0,
    0.0,
    0.1,
    0.2,
    0.4,
    0.8,
    1.3,
    1.7,
    1.8,
    1.6,
    1.6,
    1.9,
    2.4,
    2.9,
    3.0,
    2.5,
    1.6,
    0.8,
    0.4,
    0.2,
)
ANY = (1.0,) * 24
"""Weights of the 24 local hours."""
WEEK = (0.85, 0.85, 0.9, 0.95, 1.25, 1.4, 1.1)
"""Weights of Monday to Sunday."""


@dataclass(frozen=True, slots=True)
class Habit:
    """One class of case. ``per_day`` by sector, in an ordinary month; ``summer`` multiplies it in season.

    ``spots`` of them lie around a few places that stay the same; ``heeds`` says that operations push it
    back for a while; ``falls`` is the share by which it falls over each year.
    """

    code: str
    kind: str
    summary: str
    priority: int
    hours: Sequence[float]
    per_day: Mapping[str, float]
    summer: float = 1.0
    false_share: float = 0.3
    spots: float = 0.0
    heeds: bool = False
    falls: float = 0.0
    institution: str = ""
    """Who it is referred to, where it is not the municipality's own to attend."""


_TOWN = {"CENTRO": 1.0, "COSTA": 0.5, "LOS BOLDOS": 0.6, "BAJO RÍO": 0.25}
_LAND = {"QUEBRADA HONDA": 1.0, "EL MOLINO": 0.8, "LAS DUNAS": 0.4}


def _share(of: Mapping[str, float], per_day: float) -> Mapping[str, float]:
    return {sector: per_day * weight for sector, weight in of.items()}


HABITS: Sequence[Habit] = (
    Habit("INC.COMERCIO", "community_alarm", "Comercio ambulante", 4, AFTERNOON, {"CENTRO": 1.5, "COSTA": 0.9}, 2.6, 0.15, 0.85, True, 0.05),
    Habit("INC.ALCOHOL", "community_alarm", "Consumo de alcohol en la vía pública", 4, NIGHT, _share(_TOWN, 0.9), 1.9, 0.25, 0.6, True, 0.04),
    Habit("INC.RUIDOS", "community_alarm", "Ruidos molestos", 4, NIGHT, _share(_TOWN, 1.6), 1.5, 0.35, 0.3, False, 0.0),
    Habit("INC.RINA", "community_alarm", "Riña o desorden", 2, NIGHT, _share(_TOWN, 0.45), 1.8, 0.25, 0.5, True, 0.0, "Carabineros"),
    Habit("INC.BASURA", "community_alarm", "Microbasural", 4, DAY, {**_share(_TOWN, 0.3), **_share(_LAND, 0.15)}, 1.2, 0.2, 0.5),
    Habit("INC.VEHICULO", "community_alarm", "Vehículo abandonado", 4, DAY, _share(_TOWN, 0.18), 1.0, 0.2),
    Habit("INC.RAYADOS", "community_alarm", "Rayados o daños", 3, NIGHT, _share(_TOWN, 0.22), 1.1, 0.3, 0.3),
    Habit("DEL.HURTO", "panic", "Hurto en comercio", 3, AFTERNOON, _share(_TOWN, 0.55), 1.7, 0.25, 0.6, True, 0.06, "Carabineros"),
    Habit("DEL.ROBO_SORPRESA", "panic", "Robo por sorpresa", 2, AFTERNOON, _share(_TOWN, 0.16), 2.0, 0.3, 0.6, True, 0.05, "Carabineros"),
    Habit("DEL.ROBO_VIOLENCIA", "panic", "Robo con violencia", 1, NIGHT, _share(_TOWN, 0.11), 1.3, 0.35, 0.3, False, 0.04, "Carabineros"),
    Habit("DEL.ROBO_HABITADO", "panic", "Robo en lugar habitado", 1, NIGHT, {**_share(_TOWN, 0.13), **_share(_LAND, 0.05)}, 1.3, 0.4, 0.3, False, 0.05, "Carabineros"),
    Habit("DEL.ROBO_VEHICULO", "camera_moved", "Robo de vehículo o accesorios", 2, NIGHT, _share(_TOWN, 0.16), 1.5, 0.3, 0.4, False, 0.0, "Carabineros"),
    Habit("DEL.LESIONES", "panic", "Lesiones", 1, NIGHT, _share(_TOWN, 0.09), 1.5, 0.3, 0.3, False, 0.0, "Carabineros"),
    Habit("DEL.AMENAZAS", "panic", "Amenazas o riña", 2, NIGHT, _share(_TOWN, 0.2), 1.2, 0.3, 0.2, False, 0.0, "Carabineros"),
    Habit("RUR.PORTON", "gate_open", "Portón abierto", 3, ANY, _share(_LAND, 1.1), 1.1, 0.6),
    Habit("RUR.ABIGEATO", "cattle_theft", "Ganado fuera del potrero", 2, NIGHT, _share(_LAND, 0.22), 0.9, 0.35, 0.3, False, 0.08, "Carabineros"),
    Habit("RUR.BOMBA", "pump_theft", "Posible robo de bomba", 2, NIGHT, _share(_LAND, 0.09), 1.3, 0.4, 0.0, False, 0.05, "Carabineros"),
    Habit("RUR.HUMO", "smoke_suspected", "Posible humo", 1, DAY, _share(_LAND, 0.16), 2.4, 0.55, 0.0, False, 0.0, "CONAF"),
    Habit("EMG.INUNDACION", "river_high", "Crecida del río", 1, ANY, {"QUEBRADA HONDA": 0.02, "BAJO RÍO": 0.02}, 0.2, 0.2),
    Habit("EMG.INCENDIO", "smoke", "Humo", 1, ANY, {**_share(_TOWN, 0.04), **_share(_LAND, 0.02)}, 1.4, 0.4, 0.0, False, 0.0, "Bomberos"),
    Habit("EMG.MEDICA", "panic", "Emergencia médica", 1, DAY, {**_share(_TOWN, 0.18), **_share(_LAND, 0.04)}, 1.6, 0.15, 0.0, False, 0.0, "SAMU"),
    Habit("SOC.CALLE", "community_alarm", "Persona en situación de calle", 3, ANY, {"CENTRO": 0.14, "COSTA": 0.06}, 0.8, 0.2, 0.5),
    Habit("VIF", "duress", "Atención reservada", 1, NIGHT, {**_share(_TOWN, 0.06), **_share(_LAND, 0.02)}, 1.1, 0.1),
    Habit("", "panic", "Botón de pánico", 1, ANY, {**_share(_TOWN, 0.5), **_share(_LAND, 0.1)}, 1.2, 0.85),
)  # fmt: skip
BY_CODE: Mapping[str, Habit] = {habit.code: habit for habit in HABITS}

HELD_BACK = 0.55
"""The share of cases that an operation keeps from happening near it, at first; it fades out."""
HELD_BACK_DAYS = 14
HELD_BACK_M = 300.0


def is_summer(day: date) -> bool:
    return (day.month, day.day) >= (12, 15) or (day.month, day.day) <= (3, 15)
