"""Draws the fictional commune's map: ``python edge/scenarios/make.py > edge/scenarios/los-aromos.geojson``.

Every shape is invented here; the seed makes two runs the same. GeoJSON (RFC 7946), longitude first.
"""

import itertools
import json
import math
import random
import sys
from collections.abc import Iterator
from typing import Any

Point = tuple[float, float]
Feature = dict[str, Any]

COAST: list[Point] = [
    (-72.016, -34.318), (-72.021, -34.331), (-72.019, -34.346), (-72.027, -34.358), (-72.026, -34.370),
    (-72.020, -34.380), (-72.019, -34.389), (-72.022, -34.398), (-72.027, -34.406), (-72.034, -34.415),
    (-72.031, -34.428), (-72.036, -34.441), (-72.034, -34.456),
]  # fmt: skip
BORDER: list[Point] = [
    (-71.993, -34.462), (-71.951, -34.458), (-71.918, -34.449), (-71.896, -34.433), (-71.889, -34.409),
    (-71.884, -34.384), (-71.893, -34.352), (-71.921, -34.331), (-71.966, -34.319),
]  # fmt: skip
RIVER: list[Point] = [
    (-71.886, -34.391), (-71.907, -34.398), (-71.926, -34.394), (-71.943, -34.403), (-71.961, -34.411),
    (-71.978, -34.406), (-71.994, -34.411), (-72.010, -34.407), (-72.021, -34.410), (-72.029, -34.408),
]  # fmt: skip
CREEK: list[Point] = [(-71.936, -34.452), (-71.944, -34.437), (-71.953, -34.424), (-71.961, -34.411)]
NORTH_CREEK: list[Point] = [(-71.958, -34.327), (-71.975, -34.341), (-71.997, -34.350), (-72.022, -34.352)]

SECTORS: dict[str, list[Point]] = {
    "Centro": [(-72.017, -34.383), (-71.996, -34.381), (-71.993, -34.399), (-72.016, -34.402)],
    "Costa": [(-72.0195, -34.380), (-72.017, -34.383), (-72.016, -34.402), (-72.029, -34.416), (-72.034, -34.415), (-72.022, -34.398), (-72.019, -34.389)],
    "Norte": [(-72.024, -34.358), (-71.998, -34.354), (-71.995, -34.377), (-72.021, -34.377)],
    "Los Boldos": [(-71.981, -34.343), (-71.925, -34.347), (-71.921, -34.379), (-71.979, -34.381)],
    "Quebrada Honda": [(-71.985, -34.419), (-71.929, -34.413), (-71.921, -34.446), (-71.979, -34.452)],
}  # fmt: skip
ROADS: dict[str, list[Point]] = {
    "Ruta Costera": [(-72.011, -34.320), (-72.013, -34.345), (-72.016, -34.366), (-72.011, -34.381), (-72.010, -34.400), (-72.015, -34.411), (-72.024, -34.424), (-72.027, -34.456)],
    "Camino Real": [(-72.011, -34.390), (-71.994, -34.390), (-71.972, -34.386), (-71.948, -34.382), (-71.921, -34.381), (-71.886, -34.377)],
    "Camino Los Boldos": [(-71.972, -34.386), (-71.965, -34.372), (-71.952, -34.361), (-71.941, -34.347), (-71.939, -34.329)],
    "Camino Quebrada Honda": [(-71.994, -34.396), (-71.985, -34.413), (-71.969, -34.424), (-71.957, -34.434), (-71.949, -34.455)],
    "Camino El Vado": [(-71.948, -34.382), (-71.944, -34.397), (-71.941, -34.413), (-71.931, -34.428)],
    "Camino Las Lomas": [(-72.013, -34.345), (-71.989, -34.339), (-71.966, -34.332)],
}  # fmt: skip
GREENS: dict[str, list[Point]] = {
    "Bosque municipal": [(-72.009, -34.357), (-71.999, -34.355), (-71.997, -34.368), (-72.008, -34.370)],
    "Plantación Las Lomas": [(-71.966, -34.322), (-71.944, -34.329), (-71.950, -34.341), (-71.972, -34.337)],
    "Plantación El Maitén": [(-71.925, -34.399), (-71.905, -34.403), (-71.901, -34.424), (-71.918, -34.428)],
    "Plaza de Armas": [(-72.0075, -34.3895), (-72.0059, -34.3894), (-72.0058, -34.3908), (-72.0074, -34.3909)],
    "Parque del Estero": [(-72.006, -34.4035), (-71.996, -34.4045), (-71.995, -34.4085), (-72.007, -34.4060)],
}  # fmt: skip
PLACES: dict[str, Point] = {
    "Cerro La Cruz": (-71.985, -34.371), "Cerro Alto": (-71.909, -34.361), "Cerro El Peumo": (-71.972, -34.446),
    "Caleta Los Aromos": (-72.0205, -34.3945), "Playa Grande": (-72.0215, -34.4015), "Puente El Vado": (-71.9435, -34.403),
    "Punta Lobos Chica": (-72.034, -34.443),
}  # fmt: skip
STREETS = (
    "Arturo Prat",
    "Los Aromos",
    "Gabriela Mistral",
    "O'Higgins",
    "La Marina",
    "Los Pescadores",
    "El Molino",
    "Manuel Rodríguez",
)
AVENUES = (
    "Costanera",
    "Balmaceda",
    "Comercio",
    "Carrera",
    "Los Carrera",
    "Esmeralda",
    "San Martín",
    "Errázuriz",
    "Cementerio",
)


def main() -> None:
    rng = random.Random(20261124)  # noqa: S311 - a drawing
    coast = rough(COAST, rng, 0.0008)
    features = [
        feature("water", "Océano Pacífico", "Polygon", [ring([*coast, (-72.072, -34.462), (-72.072, -34.312)])]),
        feature("commune", "Los Aromos", "Polygon", [ring(coast + BORDER)]),
        *(feature("green", name, "Polygon", [ring(soft(points, rng))]) for name, points in GREENS.items()),
        *(feature("sector", name, "Polygon", [ring(points)]) for name, points in SECTORS.items()),
        feature("water", "Laguna El Ancho", "Polygon", [ring(blob((-72.0175, -34.4125), 0.0042, 0.0016, rng))]),
        feature("water", "Tranque Los Boldos", "Polygon", [ring(blob((-71.9335, -34.3685), 0.0035, 0.0022, rng))]),
        feature("river", "Estero Los Aromos", "LineString", rough(RIVER, rng, 0.0006)),
        feature("stream", "Quebrada Honda", "LineString", rough(CREEK, rng, 0.0006)),
        feature("stream", "Estero Las Lomas", "LineString", rough(NORTH_CREEK, rng, 0.0006)),
        *(feature("road", name, "LineString", rough(points, rng, 0.0004)) for name, points in ROADS.items()),
        *grid(),
        *(feature("place", name, "Point", point) for name, point in PLACES.items()),
    ]  # fmt: skip
    json.dump(
        {"type": "FeatureCollection", "features": features},
        sys.stdout,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    sys.stdout.write("\n")


def feature(kind: str, name: str, geometry: str, coordinates: Any) -> Feature:
    return {
        "type": "Feature",
        "properties": {"kind": kind, "name": name},
        "geometry": {"type": geometry, "coordinates": rounded(coordinates)},
    }


def rounded(value: Any) -> Any:
    """Five decimals are one metre."""
    return round(value, 5) if isinstance(value, float) else [rounded(part) for part in value]


def ring(points: list[Point]) -> list[Point]:
    return [*points, points[0]]


def rough(points: list[Point], rng: random.Random, by: float) -> list[Point]:
    """The same line with its points joined by a curve and shaken a little, as land is."""
    line = [points[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        for part in (0.25, 0.5, 0.75):
            bend = by * math.sin(math.pi * part) * rng.uniform(-1, 1)
            line.append((x0 + (x1 - x0) * part + bend, y0 + (y1 - y0) * part + bend * 0.6))
        line.append((x1, y1))
    return line


def soft(points: list[Point], rng: random.Random) -> list[Point]:
    return rough(ring(points), rng, 0.0005)[:-1]


def blob(centre: Point, width: float, height: float, rng: random.Random) -> list[Point]:
    turns = [2 * math.pi * i / 22 for i in range(22)]
    sizes = [rng.uniform(0.82, 1.12) for _ in turns]
    return [
        (centre[0] + width * s * math.cos(a), centre[1] + height * s * math.sin(a))
        for a, s in zip(turns, sizes, strict=True)
    ]


def grid() -> Iterator[Feature]:
    """The streets of the centre: a colonial grid, turned a few degrees along the coast."""
    west, north, step_x, step_y, turn = -72.0150, -34.3838, 0.00215, -0.00205, 0.07
    for i, name in enumerate(STREETS):
        y = north + i * step_y
        yield feature(
            "street",
            name,
            "LineString",
            [(west - turn * (y - north), y), (west + 8 * step_x - turn * (y - north), y + 0.0006)],
        )
    for i, name in enumerate(AVENUES):
        x = west + i * step_x
        south = north + 7 * step_y
        yield feature(
            "street",
            name,
            "LineString",
            [(x, north + i * 0.00008), (x - turn * (south - north), south + i * 0.00008)],
        )


if __name__ == "__main__":
    main()
