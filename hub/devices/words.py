"""What kinds of devices are called in Spanish. Pure."""

DEVICE_KINDS: dict[str, str] = {
    "panic_button": "Botón de pánico",
    "duress_button": "Botón silencioso",
    "camera": "Cámara",
    "river_level": "Nivel de río",
    "temperature": "Temperatura",
    "gate": "Portón",
    "gate_contact": "Portón",
    "smoke": "Detector de humo",
    "smoke_detector": "Detector de humo",
    "rural_sensor": "Sensor rural",
    "tank_level": "Nivel de estanque",
    "water_tank": "Estanque de agua",
    "cattle": "Collar de ganado",
    "pump": "Bomba",
    "siren": "Sirena",
    "gateway": "Equipo",
    "other": "Otro",
}
