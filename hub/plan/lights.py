"""Where a figure stands between baseline and target. Pure."""

import enum

from hub.plan.computing import Datum, NoData
from hub.plan.model import Indicator


class Light(enum.StrEnum):
    MET = "cumple"
    ON_ITS_WAY = "avanza"
    BEHIND = "atrasado"
    NO_TARGET = "sin_meta"
    NO_DATA = "sin_dato"


LABELS = {
    Light.MET: "Cumple la meta",
    Light.ON_ITS_WAY: "Mejor que la línea base, sin llegar a la meta",
    Light.BEHIND: "No mejora la línea base",
    Light.NO_TARGET: "Se muestra, no se califica",
    Light.NO_DATA: "Sin dato",
}


def target_of(indicator: Indicator, year: int) -> float | None:
    """The target of ``year``, or the last one set before it."""
    years = [one for one in indicator.targets if one <= year]
    return indicator.targets[max(years)] if years else None


def light(indicator: Indicator, datum: Datum, year: int) -> Light:
    """Without a baseline there is no better or worse than before: what misses its target is behind."""
    target = target_of(indicator, year)
    if isinstance(datum, NoData):
        return Light.NO_DATA
    if indicator.direction == "neutra" or target is None:
        return Light.NO_TARGET
    sign = 1 if indicator.direction == "sube" else -1
    if sign * datum >= sign * target:
        return Light.MET
    baseline = indicator.baseline.value if indicator.baseline else None
    is_better = baseline is not None and sign * datum > sign * baseline
    return Light.ON_ITS_WAY if is_better else Light.BEHIND
