"""Distances and areas on the ground, good to a metre over a commune. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EARTH_M = 6_371_008.8
_DEGREE_M = math.radians(1) * EARTH_M

Ring = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Box:
    """What a query can look at before the place itself is judged. Degrees."""

    south: float
    west: float
    north: float
    east: float

    def wider(self, metres: float) -> "Box":
        up = metres / _DEGREE_M
        across = up / max(0.05, math.cos(math.radians(max(abs(self.south), abs(self.north)))))
        return Box(self.south - up, self.west - across, self.north + up, self.east + across)


def metres(a: Place, b: Place) -> float:
    """Haversine."""
    half = math.radians(b.latitude - a.latitude) / 2, math.radians(b.longitude - a.longitude) / 2
    h = (
        math.sin(half[0]) ** 2
        + math.cos(math.radians(a.latitude)) * math.cos(math.radians(b.latitude)) * math.sin(half[1]) ** 2
    )
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, h)))


def polygons(area: Mapping[str, Any]) -> Iterator[Sequence[Ring]]:
    """The polygons of a GeoJSON Polygon or MultiPolygon, each an outline and its holes."""
    if area.get("type") == "Polygon":
        yield area["coordinates"]
    elif area.get("type") == "MultiPolygon":
        yield from area["coordinates"]


def contains(area: Mapping[str, Any], place: Place) -> bool:
    """Whether the place lies in the area; one on its edge may fall to either side."""
    return any(
        _is_inside(outline, place) and not any(_is_inside(hole, place) for hole in holes)
        for outline, *holes in polygons(area)
    )


def _is_inside(ring: Ring, place: Place) -> bool:
    """Even and odd: how many sides a ray to the east crosses."""
    inside = False
    for (x1, y1, *_), (x2, y2, *_) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (y1 > place.latitude) != (y2 > place.latitude):
            x = x1 + (place.latitude - y1) / (y2 - y1) * (x2 - x1)
            inside ^= place.longitude < x
    return inside


def box_of(area: Mapping[str, Any] | None, points: Iterable[Place], reach_m: float) -> Box | None:
    """Around the area and everything within ``reach_m`` of the points; None where there is neither."""
    corners = [Place(y, x) for outline, *_ in polygons(area or {}) for x, y, *_ in outline]
    boxes = [*([_around(corners)] if corners else [])]
    if near := list(points):
        boxes.append(_around(near).wider(reach_m))
    if not boxes:
        return None
    return Box(
        min(box.south for box in boxes),
        min(box.west for box in boxes),
        max(box.north for box in boxes),
        max(box.east for box in boxes),
    )


def _around(places: Sequence[Place]) -> Box:
    latitudes, longitudes = [p.latitude for p in places], [p.longitude for p in places]
    return Box(min(latitudes), min(longitudes), max(latitudes), max(longitudes))
