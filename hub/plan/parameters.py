"""What a municipality decides about its figures, handed to every measure as JSON. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from hub.alerts.catalogue import Catalogue
from hub.alerts.model import RESTRICTED_KINDS

SLA_S: Mapping[int, int] = {1: 15, 2: 60, 3: 300, 4: 900}
"""Seconds within which a person takes an alert of each priority."""

_OF_EQUIPMENT = (
    *("camera_covered", "collar_silent", "flapping", "gateway_down"),
    *("room_silent", "rule_failed", "rule_flood", "sensor_failed", "platform_fault"),
)

# Kinds that the catalogue suggests no code for; what people classify stands before this.
_CODE_OF_KIND: Mapping[str, str] = {
    "cattle_theft": "RUR.ABIGEATO",
    "pump_theft": "RUR.BOMBA",
    "transformer_tilt": "RUR.BOMBA",
    "transformer_dark": "RUR.BOMBA",
    "cable_cut": "RUR.CABLE",
    "gate_left_open": "RUR.PORTON",
    "river_rising": "RUR.CAUDAL",
    "tank_low": "RUR.CAUDAL",
    "fire_weather": "RUR.HUMO",
    **dict.fromkeys(_OF_EQUIPMENT, "TEC.OTRA"),
}


def parameters_of(catalogue: Catalogue, sla_s: Mapping[int, int] = SLA_S) -> dict[str, Any]:
    """``code_of_kind``, ``dmcs``, ``restricted_kinds`` and ``sla_s`` as the queries read them."""
    suggested = {kind: code.code for code in catalogue.codes for kind in code.kinds}
    return {
        "code_of_kind": {**_CODE_OF_KIND, **suggested},
        "dmcs": sorted(code.code for code in catalogue.codes if code.dmcs),
        "restricted_kinds": sorted(RESTRICTED_KINDS),
        "sla_s": {str(priority): seconds for priority, seconds in sla_s.items()},
    }


def as_json(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True, ensure_ascii=False)
