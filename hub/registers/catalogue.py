"""The registers. What a directorate must keep under Ley 18.695 (title IV A), Ley 21.802 and its funds. Pure."""

from collections.abc import Mapping

from hub.registers.model import Field, Register, Sort

SESSIONS = Register(
    id="sesiones",
    table="council_sessions",
    prefix="CON",
    title="Sesiones",
    one="sesión",
    doc="Sesiones del Consejo Comunal de Seguridad Pública y del Comité de Coordinación Operativa.",
    order="starts_at",
    fields=(
        Field(name="body", title="cuerpo", sort=Sort.CHOICE, is_needed=True, in_list=True,
              choices={"council": "Consejo Comunal", "committee": "Comité de Coordinación Operativa"}),
        Field(name="kind", title="tipo", sort=Sort.CHOICE, choices={"ordinary": "Ordinaria", "extraordinary": "Extraordinaria"}, in_list=True),
        Field(name="starts_at", title="inicio", sort=Sort.INSTANT, is_needed=True, in_list=True),
        Field(name="place", title="lugar"),
        Field(name="summoned_on", title="citada el", sort=Sort.DAY),
        Field(name="summons_proof", title="prueba de la citación", hint="folio del oficio o del correo"),
        Field(name="state", title="estado", sort=Sort.CHOICE, in_list=True,
              choices={"planned": "Programada", "held": "Realizada", "cancelled": "Suspendida"}),
        Field(name="cancelled_because", title="motivo de suspensión"),
        Field(name="agenda", title="tabla", sort=Sort.LONG, hint="un punto por línea"),
        Field(name="minutes", title="desarrollo", sort=Sort.LONG, hint="por oficina o institución, sin nombres"),
    ),
)  # fmt: skip
AGREEMENTS = Register(
    id="acuerdos",
    table="council_agreements",
    prefix="ACU",
    title="Acuerdos",
    one="acuerdo",
    doc="Acuerdos del Consejo con responsable y plazo.",
    order="due_on",
    fields=(
        Field(name="session", title="sesión", sort=Sort.FOLIO, of="sesiones", is_needed=True, in_list=True),
        Field(name="agreement", title="acuerdo", sort=Sort.LONG, is_needed=True, in_list=True),
        Field(name="owner", title="responsable", is_needed=True, in_list=True, hint="oficina o institución"),
        Field(name="due_on", title="plazo", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="fulfilled_on", title="cumplido el", sort=Sort.DAY, is_told_later=True, in_list=True),
        Field(name="evidence", title="evidencia", hint="folio o enlace al documento"),
        Field(name="dropped_because", title="dejado sin efecto por"),
    ),
)
PARTNERSHIPS = Register(
    id="convenios",
    table="partnerships",
    prefix="CNV",
    title="Convenios",
    one="convenio",
    doc="Convenios con otras instituciones, con su vigencia.",
    order="ends_on",
    fields=(
        Field(name="name", title="nombre", is_needed=True, in_list=True),
        Field(name="parties", title="partes", is_needed=True, in_list=True, hint="instituciones, separadas por coma"),
        Field(name="signed_on", title="firmado el", sort=Sort.DAY),
        Field(name="starts_on", title="rige desde", sort=Sort.DAY, is_needed=True),
        Field(name="ends_on", title="rige hasta", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="commitments", title="compromisos", sort=Sort.LONG),
        Field(name="document", title="decreto o folio"),
        Field(name="sha256", title="huella SHA-256", sort=Sort.SHA256),
    ),
)  # fmt: skip
PROJECTS = Register(
    id="proyectos",
    table="projects",
    prefix="PRY",
    title="Proyectos",
    one="proyecto",
    doc="Proyectos con financiamiento externo o municipal.",
    order="starts_on",
    fields=(
        Field(name="name", title="nombre", is_needed=True, in_list=True),
        Field(name="fund", title="fondo", is_needed=True, in_list=True, hint="SNSM, FNSP, FNDR, municipal"),
        Field(name="activity", title="actividad del plan"),
        Field(name="amount_clp", title="monto CLP", sort=Sort.MONEY, is_needed=True, in_list=True),
        Field(name="starts_on", title="inicio", sort=Sort.DAY, is_needed=True),
        Field(name="ends_on", title="término", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="state", title="estado", sort=Sort.CHOICE, in_list=True,
              choices={"running": "En ejecución", "applied": "Postulado", "finished": "Terminado", "rejected": "No adjudicado"}),
    ),
)  # fmt: skip
PAYMENTS = Register(
    id="cuotas",
    table="project_payments",
    prefix="CUO",
    title="Cuotas y rendiciones",
    one="movimiento",
    doc="Cuotas transferidas y montos rendidos de cada proyecto.",
    order="day",
    fields=(
        Field(name="project", title="proyecto", sort=Sort.FOLIO, of="proyectos", is_needed=True, in_list=True),
        Field(name="sort", title="clase", sort=Sort.CHOICE, is_needed=True, in_list=True,
              choices={"instalment": "Cuota transferida", "account": "Rendición"}),
        Field(name="day", title="fecha", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="amount_clp", title="monto CLP", sort=Sort.MONEY, is_needed=True, in_list=True),
        Field(name="document", title="documento"),
        Field(name="approved_on", title="aprobada el", sort=Sort.DAY),
    ),
)  # fmt: skip
OUTREACH = Register(
    id="difusion",
    table="outreach",
    prefix="DIF",
    title="Difusión",
    one="actividad de difusión",
    doc="Charlas, ferias, medios y capacitaciones, con cuántas personas asistieron.",
    order="day",
    fields=(
        Field(name="day", title="fecha", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="kind", title="tipo", sort=Sort.CHOICE, is_needed=True, in_list=True,
              choices={"talk": "Charla", "fair": "Feria", "media": "Medios", "training": "Capacitación", "other": "Otra"}),
        Field(name="topic", title="tema", is_needed=True, in_list=True),
        Field(name="sector", title="sector", in_list=True),
        Field(name="attendees", title="asistentes", sort=Sort.COUNT, in_list=True),
        Field(name="activity", title="actividad del plan"),
        Field(name="evidence", title="evidencia"),
    ),
)  # fmt: skip
REFERRALS = Register(
    id="derivaciones",
    table="referrals",
    prefix="DER",
    title="Derivaciones",
    one="derivación",
    doc="Víctimas derivadas con su consentimiento. Cada una es un folio: sin nombre, RUT ni teléfono.",
    order="opened_on",
    see="see_referrals",
    keep="keep_referrals",
    is_restricted=True,
    fields=(
        Field(name="opened_on", title="fecha", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="matter", title="materia", sort=Sort.CHOICE, is_needed=True, in_list=True,
              choices={"vif": "Violencia intrafamiliar", "robbery": "Robo", "injury": "Lesiones", "sexual": "Sexual", "other": "Otra"}),
        Field(name="sector", title="sector"),
        Field(name="has_consent", title="consiente", sort=Sort.FLAG, in_list=True),
        Field(name="consent_how", title="cómo consintió", sort=Sort.CHOICE,
              choices={"": "—", "paper": "En papel", "recorded": "Grabado", "in_person": "En persona"}),
        Field(name="consent_proof", title="prueba del consentimiento", hint="folio del documento"),
        Field(name="institution", title="derivada a", in_list=True),
        Field(name="referred_on", title="derivada el", sort=Sort.DAY),
        Field(name="accepted_on", title="aceptada el", sort=Sort.DAY, is_told_later=True, in_list=True),
        Field(name="outcome", title="resultado"),
    ),
)  # fmt: skip
REQUESTS = Register(
    id="requerimientos",
    table="image_requests",
    prefix="REQ",
    title="Requerimientos de imágenes",
    one="requerimiento",
    doc="Lo que piden fiscalías, policías y tribunales, con su plazo y la huella de lo entregado.",
    order="due_on",
    fields=(
        Field(name="institution", title="institución", is_needed=True, in_list=True),
        Field(name="document", title="documento", in_list=True, hint="número del oficio"),
        Field(name="received_on", title="recibido el", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="due_on", title="plazo", sort=Sort.DAY, is_needed=True, in_list=True),
        Field(name="cameras", title="cámaras"),
        Field(name="span", title="período pedido"),
        Field(name="answered_on", title="respondido el", sort=Sort.DAY, is_told_later=True, in_list=True),
        Field(name="outcome", title="resultado", sort=Sort.CHOICE, in_list=True,
              choices={"": "—", "delivered": "Entregado", "lost": "Perdido: venció la conservación", "none": "No existían"}),
        Field(name="sha256", title="huella SHA-256", sort=Sort.SHA256),
    ),
)  # fmt: skip

REGISTERS: Mapping[str, Register] = {
    one.id: one
    for one in (
        *(SESSIONS, AGREEMENTS, PARTNERSHIPS, PROJECTS, PAYMENTS),
        *(OUTREACH, REFERRALS, REQUESTS),
    )
}
