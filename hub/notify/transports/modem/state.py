"""What is known about a modem, and how it is said in Spanish. Frozen; the driver hands out a new one."""

from dataclasses import dataclass, field
from datetime import datetime

from hub.notify.transports.modem.errors import Problem
from hub.notify.transports.modem.replies import Registration, signal_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What the device says about itself. ``serial`` is the IMEI, which the operator may have to enrol."""

    maker: str = ""
    model: str = ""
    revision: str = ""
    serial: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.maker, self.model, self.revision) if part) or "desconocido"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModemState:
    """``problem`` is why nothing can be sent; None with ``is_ready`` once the modem is set up."""

    name: str
    port: str
    is_ready: bool = False
    is_dead: bool = False
    """Reopening and resetting did not help: somebody has to go there."""
    problem: Problem | None = None
    identity: Identity = field(default_factory=Identity)
    registration: Registration = Registration.UNKNOWN
    operator: str = ""
    signal_dbm: int | None = None
    service_centre: str = ""
    memory_used: int | None = None
    memory_total: int | None = None
    balance: str = ""
    credit: float | None = None
    balance_at: datetime | None = None
    sent_parts: int = 0
    failed_texts: int = 0
    restarts: int = 0
    """Sessions that had to be opened again."""
    resets: int = 0
    unreadable: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether a text can leave now."""
        return self.is_ready and self.trouble is None

    @property
    def trouble(self) -> Problem | None:
        """What stops texts, the worst first."""
        if self.problem is not None or not self.is_ready:
            return self.problem
        return self.registration.problem

    def detail(self) -> str:
        """One line for the technician."""
        if (trouble := self.trouble) is not None:
            prefix = "módem muerto: " if self.is_dead else ""
            return f"{prefix}{trouble.cause}; {trouble.remedy}"
        if not self.is_ready:
            return "el módem se está preparando"
        return ", ".join(self._figures())

    def _figures(self) -> list[str]:
        figures = [f"{self.operator or 'operador desconocido'}: {self.registration.value}"]
        figures.append(f"señal {signal_text(self.signal_dbm)}")
        if self.balance:
            figures.append(f"saldo: {self.balance}")
        if self.memory_total and self.memory_used is not None:
            figures.append(f"memoria {self.memory_used} de {self.memory_total}")
        return figures


def signal_text(dbm: int | None) -> str:
    """``-79 dBm (buena)``."""
    return "desconocida" if dbm is None else f"{dbm} dBm ({signal_words(dbm)})"
