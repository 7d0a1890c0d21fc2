"""Settings of one modem. Spanish descriptions: the installer reads them."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[str, Field(pattern=r"^(\+\d{6,15})?$")]


class ModemSettings(BaseModel):
    """One modem with its SIM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,29}$",
        description="nombre corto del módem, como se ve en la consola y en /metrics",
    )
    port: str = Field(
        min_length=1,
        description="puerto serial; use el nombre fijo de udev (/dev/almenara-modem1) o /dev/serial/by-id/…",
    )
    pin_file: Path | None = Field(
        default=None, description="archivo que contiene el PIN de la SIM; vacío: la SIM no pide PIN"
    )
    per_hour: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="mensajes por hora que tolera el operador de esta SIM; un quinto queda para prioridad 1",
    )
    burst: int = Field(default=60, ge=1, le=10_000, description="mensajes seguidos que tolera tras una pausa")
    balance_code: str = Field(
        default="",
        pattern=r"^([*#][0-9*#]+#)?$",
        description="código USSD del saldo, por ejemplo *103#; vacío: no se consulta",
    )
    smsc: Number = Field(
        default="", description="central de mensajes del operador en formato +56…; vacío: la que trae la SIM"
    )
    validity_h: float = Field(
        default=24,
        gt=0,
        le=24 * 63,
        description="horas que la red guarda un mensaje para un teléfono apagado",
    )
    full_accents: bool = Field(
        default=False,
        description="conserva á í ó ú aunque el mensaje cueste más partes; si no, «texto económico»",
    )
    wants_reports: bool = Field(default=True, description="pide a la red el aviso de entrega de cada mensaje")
