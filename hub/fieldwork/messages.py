"""What a phone sends, read at the border: typed, bounded, free of persons. Pure.

Fields are only ever added, with a default: a phone may bring a queue that an older page has written.
"""

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hub.fieldwork.errors import RefusedError
from hub.privacy import names_a_person

MAX_ITEMS = 50
MAX_PHOTOS = 6

_Short = Annotated[str, Meta(max_length=120)]
_Note = Annotated[str, Meta(max_length=2000)]
_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Instant = Annotated[datetime, Meta(tz=True)]
_Offset = Annotated[int, Meta(ge=-(10**12), le=10**12)] | None


class Where(msgspec.Struct, frozen=True):
    """Degrees; ``accuracy_m`` is the radius that the phone answers for."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    accuracy_m: Annotated[float, Meta(ge=0, le=1e7)]


class Infringement(msgspec.Struct, frozen=True):
    rule: Annotated[str, Meta(min_length=1, max_length=200)]
    ticket_folio: _Short = ""


class Seizure(msgspec.Struct, frozen=True):
    id: uuid.UUID
    goods: Annotated[str, Meta(min_length=1, max_length=120)]
    quantity: Annotated[float, Meta(gt=0, le=1e6)]
    unit: Literal["kg", "un", "l"]
    destination: Literal["destruction", "charity", "custody"]
    record_folio: _Short = ""


class PhotoNote(msgspec.Struct, frozen=True):
    id: uuid.UUID
    sha256: _Sha256
    size_bytes: Annotated[int, Meta(gt=0, le=2**31)]
    captured_at: _Instant


class _Item(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """``at`` by the phone's clock; ``offset_ms``: how far the hub was ahead of it then."""

    id: uuid.UUID
    at: _Instant
    offset_ms: _Offset = None


class Inspection(_Item, frozen=True, kw_only=True, tag="inspection"):
    folio: Annotated[str, Meta(max_length=40)] = ""
    operation_id: uuid.UUID | None = None
    point: _Short = ""
    sector: _Short = ""
    where: Where | None = None
    trade: Annotated[str, Meta(min_length=1, max_length=120)]
    permit_state: Literal["valid", "expired", "none", "unknown", "not_needed", "other_place"]
    permit_folio: Annotated[str, Meta(max_length=40)] = ""
    result: Literal["no_remark", "warning", "infringement", "closure_referred"]
    acting: Literal["autonomous", "assisting"] = "autonomous"
    assists: _Short = ""
    note: _Note = ""
    infringements: Annotated[tuple[Infringement, ...], Meta(max_length=10)] = ()
    seizures: Annotated[tuple[Seizure, ...], Meta(max_length=20)] = ()
    photos: Annotated[tuple[PhotoNote, ...], Meta(max_length=MAX_PHOTOS)] = ()


class Task(_Item, frozen=True, kw_only=True, tag="task"):
    operation_id: uuid.UUID
    position: Annotated[int, Meta(ge=0, le=10_000)]
    is_done: bool


class Point(_Item, frozen=True, kw_only=True, tag="point"):
    operation_id: uuid.UUID
    point: Annotated[str, Meta(min_length=1, max_length=120)]
    what: Literal["visited", "cleared"]


class Checkin(_Item, frozen=True, kw_only=True, tag="checkin"):
    round_id: uuid.UUID
    code: Annotated[str, Meta(pattern="^[0-9A-Z]{8}$")]
    way: Literal["qr", "code", "position"]
    where: Where | None = None


Item = Inspection | Task | Point | Checkin
KINDS: dict[type[Item], str] = {Inspection: "inspection", Task: "task", Point: "point", Checkin: "checkin"}


class Batch(msgspec.Struct, frozen=True):
    """``now``: the phone's clock at the moment of sending. Items are read one by one."""

    phone: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    now: _Instant
    items: Annotated[tuple[dict[str, Any], ...], Meta(max_length=MAX_ITEMS)]


class Take(msgspec.Struct, frozen=True):
    """A phone that asks for its load. ``folios``: numbers left, by year; ``permits``: version that it has."""

    phone: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    folios: dict[int, int] = {}
    permits: str = ""


_PATH = re.compile(r"`\$\.?(.*)`")


def read_item(raw: object) -> Item:
    """Raises :class:`RefusedError`, whose Spanish text names the field."""
    try:
        item: Item = msgspec.convert(raw, Item)
    except msgspec.ValidationError as error:
        raise RefusedError(_explain(str(error))) from None
    if isinstance(item, Inspection):
        for mistake in _mistakes(item):
            raise RefusedError(mistake)
    return item


def _explain(message: str) -> str:
    """msgspec speaks English: the field's name is kept, the cause is said in ours."""
    path = _PATH.search(message)
    name = path[1] if path else ""
    if found := re.search(r"missing required field `(\w+)`", message):
        return f"Falta el campo «{f'{name}.{found[1]}'.strip('.')}»; complételo y envíe de nuevo."
    if "Invalid value" in message and name == "kind":
        return "Este registro es de una clase que el hub no conoce; actualice la página con señal."
    return f"El campo «{name or 'registro'}» tiene un valor que no sirve; corríjalo y envíe de nuevo."


def _mistakes(item: Inspection) -> Iterator[str]:
    if item.result == "infringement" and not item.infringements:
        yield "Una infracción lleva la norma infringida; elija al menos una."
    if item.result in ("no_remark", "warning") and item.infringements:
        yield "Hay normas infringidas, pero el resultado no es infracción; cambie uno de los dos."
    if item.acting == "assisting" and not item.assists.strip():
        yield "Quien actúa como coadyuvante indica a qué unidad acompaña."
    texts = {"nota": item.note, "rubro": item.trade, "folio del permiso": item.permit_folio}
    texts |= {f"especie {number}": one.goods for number, one in enumerate(item.seizures, 1)}
    texts |= {
        f"folio del parte {number}": one.ticket_folio for number, one in enumerate(item.infringements, 1)
    }
    for name, text in texts.items():
        if names_a_person(text):
            yield f"«{name}» contiene un RUT; bórrelo: aquí van lugares y folios, nunca personas."
        if not all(sign.isprintable() or sign in "\n\t" for sign in text):
            yield f"«{name}» tiene signos que no se pueden mostrar; bórrelos."
    ids = [*(one.id for one in item.seizures), *(one.id for one in item.photos)]
    if len(set(ids)) != len(ids):
        yield "Dos decomisos o fotos llevan el mismo identificador; quite uno y agréguelo de nuevo."
