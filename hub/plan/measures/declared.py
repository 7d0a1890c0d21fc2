"""Measures that plans may name today and that nobody records yet: their figures are "sin dato"."""

from hub.plan.vocabulary import Field, Measure, duration, flag, number


def _declared(name: str, noun: str, doc: str, missing: str, *fields: Field) -> Measure:
    return Measure(
        name=name,
        noun=noun,
        doc=doc,
        unit=noun,
        source="todavía ninguna",
        exclusions="no aplica",
        fields=fields,
        missing=f"falta {missing}",
    )


DECLARED = (
    _declared(
        "victima",
        "víctimas",
        "víctimas que consienten en ser derivadas",
        "el registro de derivaciones de víctimas",
        flag("consiente", "dio su consentimiento"),
        duration("aceptada", "cuánto tardó la institución en aceptar la derivación"),
    ),
    _declared(
        "sesion",
        "sesiones",
        "sesiones del Consejo Comunal",
        "el registro de sesiones y asistencia del Consejo",
        number("asistentes", "personas que asistieron", "personas"),
        number("convocados", "personas convocadas", "personas"),
    ),
    _declared(
        "acuerdo",
        "acuerdos",
        "acuerdos del Consejo",
        "el registro de acuerdos del Consejo",
        flag("vencido", "su plazo ya pasó"),
        flag("cumplido_en_plazo", "se cumplió dentro del plazo"),
    ),
    _declared(
        "requerimiento",
        "requerimientos",
        "requerimientos de imágenes",
        "el registro de requerimientos de imágenes",
        flag("en_plazo", "entregado dentro del plazo"),
        flag("perdido", "perdido por vencer la conservación"),
    ),
    _declared(
        "proyecto",
        "proyectos",
        "proyectos con financiamiento externo",
        "el registro de proyectos y rendiciones",
        number("rendido", "monto rendido", "CLP"),
        number("transferido", "monto transferido", "CLP"),
    ),
)
