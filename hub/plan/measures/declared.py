"""Measures that plans may name today and that nobody records yet: their figures are "sin dato"."""

from hub.plan.vocabulary import Field, Measure, duration, flag, number, word


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
        "operativo",
        "operativos",
        "operativos de fiscalización",
        "el registro de operativos",
        word("sector", "sector del operativo"),
        flag("programado", "estaba programado en el período"),
        word("estado", "estado del operativo", "programado", "confirmado", "ejecutado", "suspendido"),
        word("acta", "estado del acta", "abierta", "cerrada"),
        flag("interinstitucional", "estuvieron dos o más instituciones"),
        flag("con_base", "tiene un evento o foco vinculado"),
        number("eventos_antes", "eventos en 14 días antes, a 300 m"),
        number("eventos_despues", "eventos en 14 días después, a 300 m"),
    ),
    _declared(
        "punto",
        "puntos",
        "puntos de comercio ambulante visitados",
        "el registro de puntos de fiscalización",
        word("sector", "sector del punto"),
        flag("despejado", "quedó despejado"),
        duration("reaparece", "cuánto tardó en reaparecer el comercio"),
    ),
    _declared(
        "fiscalizacion",
        "fiscalizaciones",
        "fiscalizaciones hechas",
        "el registro de fiscalizaciones",
        word("sector", "sector"),
        flag("con_infraccion", "terminó en una o más infracciones"),
    ),
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
