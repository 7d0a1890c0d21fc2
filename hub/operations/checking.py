"""What is wrong with a plan for an operation, in words that say what to do. Pure."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from hub.operations.model import Draft, Institution
from hub.privacy import names_a_person

LONGEST = timedelta(days=3)
MAX_POINTS = 60


def problems(draft: Draft, sectors: Collection[str]) -> list[str]:
    """Every mistake; an empty list means that it can be planned. ``sectors``: those that are known."""
    return [*_when_and_where(draft, sectors), *_institutions(draft.institutions), *_words(draft)]


def _when_and_where(draft: Draft, sectors: Collection[str]) -> Iterator[str]:
    if draft.planned_end <= draft.planned_start:
        yield "el término va después del inicio; corrija la hora de término"
    elif draft.planned_end - draft.planned_start > LONGEST:
        yield "dura más de tres días; haga un operativo por día"
    if not draft.sector and draft.area is None and not draft.points:
        yield "falta dónde: elija un sector o marque puntos"
    if draft.sector and sectors and draft.sector not in sectors:
        yield f"no existe el sector «{draft.sector}»; los hay: {', '.join(sorted(sectors))}"
    if len(draft.points) > MAX_POINTS:
        yield f"tiene más de {MAX_POINTS} puntos; sepárelo en varios operativos"
    ids = [point.id for point in draft.points]
    for one in sorted({one for one in ids if ids.count(one) > 1}):
        yield f"el punto «{one}» está dos veces; deje uno o cámbiele el código"
    for point in draft.points:
        if not (-90 <= point.latitude <= 90 and -180 <= point.longitude <= 180):
            yield f"el punto «{point.id}» no está en la Tierra; revise latitud y longitud"
    since, until = draft.origin_since, draft.origin_until
    if (since is None) != (until is None) or (since and until and until < since):
        yield "la ventana de origen necesita inicio y término en orden"


def _institutions(institutions: Sequence[Institution]) -> Iterator[str]:
    if not institutions:
        yield "no tiene instituciones; agregue al menos la que lidera"
        return
    leads = [one for one in institutions if one.is_lead]
    if len(leads) != 1:
        yield f"lideran {len(leads)} instituciones; debe liderar una"
    names = [one.name for one in institutions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"«{name}» está dos veces; deje una y sume su personal"
    for one in institutions:
        if one.acting == "assisting" and not one.is_lead and not one.assists:
            yield f"«{one.name}» es coadyuvante; diga a qué unidad acompaña"
        if one.headcount < 0:
            yield f"«{one.name}» tiene personal negativo; escriba cero o más"


def _words(draft: Draft) -> Iterator[str]:
    if not draft.legal_basis:
        yield "falta la base legal; escriba al menos una ordenanza o ley con su artículo"
    texts = (draft.name, draft.remarks, *(task.task for task in draft.tasks), *draft.legal_basis)
    if any(map(names_a_person, texts)):
        yield "parece haber un RUT en el texto; aquí van lugares y folios, nunca personas"
