"""Zones on the ground, and how far a position is from them. WGS 84 degrees in, metres out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_M_PER_DEGREE = 111_320.0
"""One degree of latitude; good to 0.5 % anywhere in Chile, which is finer than a collar's position."""


class Zone(Protocol):
    def distance_m(self, latitude: float, longitude: float) -> float:
        """Metres from the zone's edge: positive outside, negative inside."""
        ...


@dataclass(frozen=True, slots=True)
class Circle:
    latitude: float
    longitude: float
    radius_m: float

    def distance_m(self, latitude: float, longitude: float) -> float:
        x, y = _metres(self.latitude, self.longitude, latitude, longitude)
        return math.hypot(x, y) - self.radius_m


@dataclass(frozen=True, slots=True)
class Polygon:
    """A simple polygon; ``corners`` are (latitude, longitude), three or more."""

    corners: tuple[tuple[float, float], ...]

    def distance_m(self, latitude: float, longitude: float) -> float:
        points = [_metres(latitude, longitude, *corner) for corner in self.corners]
        edges = list(zip(points, [*points[1:], points[0]], strict=True))
        nearest = min(_to_segment(a, b) for a, b in edges)
        return -nearest if _is_inside(edges) else nearest


_Point = tuple[float, float]


def _metres(lat0: float, lon0: float, lat: float, lon: float) -> _Point:
    """(east, north) of the second position seen from the first."""
    east = ((lon - lon0 + 180.0) % 360.0 - 180.0) * math.cos(math.radians(lat0))
    return east * _M_PER_DEGREE, (lat - lat0) * _M_PER_DEGREE


def _to_segment(a: _Point, b: _Point) -> float:
    """Distance of the origin from the segment."""
    (ax, ay), (dx, dy) = a, (b[0] - a[0], b[1] - a[1])
    length = dx * dx + dy * dy
    share = 0.0 if length == 0 else min(1.0, max(0.0, -(ax * dx + ay * dy) / length))
    return math.hypot(ax + share * dx, ay + share * dy)


def _is_inside(edges: Sequence[tuple[_Point, _Point]]) -> bool:
    """Whether the origin lies inside: a ray to the east crosses the edges an odd number of times."""
    crossings = 0
    for (ax, ay), (bx, by) in edges:
        if (ay > 0) != (by > 0) and ax + (bx - ax) * (-ay) / (by - ay) > 0:
            crossings += 1
    return crossings % 2 == 1
