"""The first rules. Priorities: 1 life, 2 in progress, 3 property and supervision, 4 upkeep."""

from datetime import time

from hub.rules.model import Direction, EventRule, ThresholdRule

NIGHT = (time(21), time(6))

EVENT_RULES = (
    EventRule(
        name="panic_pressed", event_type="panic.pressed", kind="panic", priority=1, title="Botón de pánico"
    ),
    EventRule(
        name="duress_pressed",
        event_type="duress.pressed",
        kind="duress",
        priority=1,
        title="Atención reservada",
    ),
    EventRule(name="man_down", event_type="man.down", kind="man_down", priority=1, title="Persona caída"),
    EventRule(name="smoke_detected", event_type="smoke.detected", kind="smoke", priority=1, title="Humo"),
    EventRule(
        name="tamper_detected", event_type="tamper.detected", kind="tamper", priority=2, title="Sabotaje"
    ),
    EventRule(
        name="camera_moved",
        event_type="camera.moved",
        kind="camera_moved",
        priority=2,
        title="Cámara desviada",
    ),
    EventRule(
        name="camera_covered",
        event_type="camera.covered",
        kind="camera_moved",
        priority=2,
        title="Cámara tapada",
    ),
    EventRule(
        name="gate_opened",
        event_type="gate.opened",
        kind="gate_open",
        priority=3,
        title="Portón abierto",
        night=NIGHT,
        night_priority=2,
    ),
    EventRule(
        name="sensor_failed",
        event_type="sensor.failed",
        kind="sensor_failed",
        priority=4,
        title="Sensor con falla",
    ),
)

THRESHOLD_RULES = (
    ThresholdRule(
        name="battery_low",
        quantity="battery",
        kind="battery_low",
        priority=4,
        title="Batería baja",
        direction=Direction.BELOW,
        raise_at=0.20,
        clear_at=0.30,
    ),
    ThresholdRule(
        name="river_high",
        quantity="level",
        kind="river_high",
        priority=2,
        title="Crecida del río",
        direction=Direction.ABOVE,
        raise_at=2.5,
        clear_at=2.2,
        device_kind="river_level",
    ),
)
