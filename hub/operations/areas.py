"""Areas: sectors from GeoJSON, each bad one with its line and remedy; and what is an area at all. Pure."""

import json
from dataclasses import dataclass
from typing import Any

import shapely

from hub.nodes import Problem
from hub.operations.fields import line as words
from hub.operations.model import Area


@dataclass(frozen=True, kw_only=True, slots=True)
class FiledSector:
    sector: str
    name: str
    area: Area
    is_rural: bool
    control: str


def load_sectors(text: str, file: str = "sectores.geojson") -> tuple[list[FiledSector], list[Problem]]:
    """The good features of a GeoJSON collection (RFC 7946), and each bad one by its number and remedy."""
    found: dict[str, FiledSector] = {}
    bad: list[Problem] = []
    try:
        collection = json.loads(text)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [], [Problem(file, line, "no es GeoJSON válido; expórtelo de nuevo")]
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list):
        return [], [Problem(file, 1, "debe ser una FeatureCollection con «features»")]
    for index, feature in enumerate(features, 1):
        line = _line_of(text, index)
        try:
            sector = _sector(feature)
        except ValueError as error:
            bad.append(Problem(file, line, f"sector {index}: {error}"))
            continue
        if sector.sector in found:
            bad.append(Problem(file, line, f"sector {index}: «{sector.sector}» está dos veces; deje uno"))
        else:
            found[sector.sector] = sector
    for sector in list(found.values()):
        if sector.control and sector.control not in found:
            bad.append(Problem(file, 1, f"«{sector.sector}»: su control «{sector.control}» no está"))
            del found[sector.sector]
    return list(found.values()), bad


def _line_of(text: str, index: int) -> int:
    """The line of the n-th feature, by its mark; files without line breaks have one."""
    place = -1
    for _ in range(index):
        place = text.find('"Feature"', place + 1)
    return text.count("\n", 0, max(place, 0)) + 1


def _sector(feature: Any) -> FiledSector:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    name = properties.get("sector") if isinstance(properties, dict) else None
    if not isinstance(properties, dict) or not name:
        raise ValueError("falta «properties.sector» con su código, por ejemplo COSTA")
    area = feature.get("geometry")
    check_area(area)
    return FiledSector(
        sector=words(str(name)),
        name=str(properties.get("nombre") or ""),
        area=area,
        is_rural=properties.get("rural") is True,
        control=str(properties.get("control") or ""),
    )


def check_area(area: Any) -> None:
    """Raises ValueError (Spanish) for what is no area: not closed, crossing itself, not on Earth."""
    if not isinstance(area, dict) or area.get("type") not in ("Polygon", "MultiPolygon"):
        raise ValueError("la geometría debe ser Polygon o MultiPolygon")
    rings: Any = area.get("coordinates") or []
    polygons: Any = [rings] if area["type"] == "Polygon" else rings
    try:
        for ring in (ring for polygon in polygons for ring in polygon):
            _check_ring(ring)
        shape = shapely.geometry.shape(area)
    except (TypeError, IndexError, shapely.errors.ShapelyError) as error:
        raise ValueError("sus coordenadas no forman un polígono") from error
    if shape.is_empty:
        raise ValueError("el polígono está vacío")
    if not shape.is_valid:
        raise ValueError(f"el polígono se cruza a sí mismo ({shapely.is_valid_reason(shape)}); corríjalo")


def _check_ring(ring: Any) -> None:
    if len(ring) < 4 or list(ring[0]) != list(ring[-1]):
        raise ValueError("el polígono no cierra; repita el primer punto al final")
    if not all(-180 <= x <= 180 and -90 <= y <= 90 for x, y, *_ in ring):
        raise ValueError("tiene puntos fuera de la Tierra; el orden es longitud, latitud")
