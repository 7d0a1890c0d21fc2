"""The fictional commune: sectors, seasons, people. Pure; nothing in it is real."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import cos, pi, radians, sin

INHABITANTS = 28_400
METRES_A_DEGREE = 111_195.0
"""Of latitude, on the sphere of 6,371.0088 km that distances are measured on elsewhere."""


@dataclass(frozen=True, slots=True)
class Sector:
    """``control``: the sector that an effect in this one is compared with. Positions in degrees, WGS 84."""

    id: str
    name: str
    latitude: float
    longitude: float
    reach_m: float
    residents: int
    is_rural: bool = False
    visitors: int = 0
    """In the summer season, beside the residents."""
    control: str = ""


SECTORS: Sequence[Sector] = (
    Sector("CENTRO", "Centro y Barrio Comercial", -34.386, -71.996, 900, 9_800, False, 8_000, "LOS BOLDOS"),
    Sector("COSTA", "Borde costero", -34.391, -72.013, 800, 4_300, False, 30_000, "BAJO RÍO"),
    Sector("LOS BOLDOS", "Población Los Boldos", -34.404, -71.985, 800, 6_200, control="CENTRO"),
    Sector("BAJO RÍO", "Bajo Río", -34.374, -72.016, 700, 3_100, control="COSTA"),
    Sector("QUEBRADA HONDA", "Quebrada Honda", -34.360, -71.950, 2_600, 2_100, True),
    Sector("EL MOLINO", "El Molino", -34.430, -71.940, 2_600, 1_700, True),
    Sector("LAS DUNAS", "Las Dunas", -34.450, -72.005, 2_200, 1_200, True, 2_500),
)
BY_ID: Mapping[str, Sector] = {sector.id: sector for sector in SECTORS}


def moved(latitude: float, longitude: float, north_m: float, east_m: float) -> tuple[float, float]:
    """A position some metres away, to the sixth decimal."""
    degrees_east = east_m / (METRES_A_DEGREE * cos(radians(latitude)))
    return round(latitude + north_m / METRES_A_DEGREE, 6), round(longitude + degrees_east, 6)


def outline(sector: Sector) -> str:
    """GeoJSON polygon (RFC 7946): a closed ring of twelve corners around the sector's middle."""
    corners = []
    for corner in range(12):
        angle = 2 * pi * corner / 12
        latitude, longitude = moved(
            sector.latitude, sector.longitude, sector.reach_m * sin(angle), sector.reach_m * cos(angle)
        )
        corners.append([longitude, latitude])
    return json.dumps({"type": "Polygon", "coordinates": [[*corners, corners[0]]]})


@dataclass(frozen=True, slots=True)
class Season:
    id: str
    name: str
    starts_on: date
    ends_on: date


def seasons(first: date, last: date) -> list[Season]:
    """Every summer season (15 December to 15 March) that touches the days given."""
    found = []
    for year in range(first.year - 1, last.year + 1):
        season = Season(
            f"estival-{year}-{year + 1}",
            f"Época estival {year}-{year + 1}",
            date(year, 12, 15),
            date(year + 1, 3, 15),
        )
        if season.starts_on <= last and season.ends_on >= first:
            found.append(season)
    return found
