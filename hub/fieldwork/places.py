"""Distances on the ground. Pure."""

import math

EARTH_M = 6_371_008.8  # mean radius, IUGG


def distance_m(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Metres along the great circle (haversine); right to some tenths of a percent."""
    first, second = math.radians(latitude), math.radians(other_latitude)
    half_north = (second - first) / 2
    half_east = math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_north) ** 2 + math.cos(first) * math.cos(second) * math.sin(half_east) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(chord)))
