"""What an installation decides about its console."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EmergencyNumber:
    """One line that the room may need; shown as it is written here."""

    name: str
    number: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A gateway that pushes to us, and which of its words mean delivered and lost; others are passed over."""

    transport: str
    token: str
    delivered_values: frozenset[str]
    failed_values: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSettings:
    """``map_centre`` is (latitude, longitude) in degrees; an empty ``metrics_token`` means loopback only.

    ``institutions`` are proposed where an alert is referred; people may write another.
    """

    commune: str = "(sin nombre)"
    session_hours: float = 12.0
    secure_cookie: bool = False
    geojson_path: Path | None = None
    map_centre: tuple[float, float] = (-33.45, -70.66)
    map_zoom: int = 13
    emergency_numbers: tuple[EmergencyNumber, ...] = field(default_factory=tuple)
    institutions: tuple[str, ...] = ("Carabineros", "PDI", "Bomberos", "SAMU", "Fiscalía")
    adopt_unknown_gateways: bool = False
    metrics_token: str = ""
    grafana_token: str = ""
    """What Grafana's alerting shows; empty: it may not tell anything."""
    hooks: tuple[Hook, ...] = ()
    timezone: str = "America/Santiago"
    evidence_folder: Path = Path("data/evidencia")
    publishes: bool = False
    """Whether anybody may read what is made for publication."""
    form_path: Path | None = None
    """The commune's own lists for the inspection form."""

    @property
    def session_length(self) -> timedelta:
        return timedelta(hours=self.session_hours)
