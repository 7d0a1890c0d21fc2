"""The sections of the console: (id, address, word, who may see it). What is used all day stands first."""

from hub.web.permissions import Permission

Section = tuple[str, str, str, Permission]

MAIN_SECTIONS: tuple[Section, ...] = (
    ("direccion", "/direccion", "Dirección", Permission.SEE_DIRECTION),
    ("consola", "/", "Consola", Permission.SEE_ALERTS),
    ("historial", "/alertas", "Historial", Permission.SEE_ALERTS),
    ("entrega", "/entrega", "Entrega", Permission.SEE_HANDOVER),
    ("dispositivos", "/dispositivos", "Dispositivos", Permission.SEE_DEVICES),
)
MORE_SECTIONS: tuple[Section, ...] = (
    ("sala", "/sala", "Pantalla de sala", Permission.SEE_WALL),
    ("operativos", "/operativos", "Operativos", Permission.SEE_OPERATIONS),
    ("focos", "/focos", "Focos", Permission.SEE_OPERATIONS),
    ("plan", "/plan", "Plan comunal", Permission.SEE_PLAN),
    ("terreno", "/terreno", "Terreno", Permission.RECORD_INSPECTIONS),
    ("rondas", "/rondas", "Rondas", Permission.SEE_OPERATIONS),
    ("permisos", "/permisos", "Permisos", Permission.SEE_OPERATIONS),
    ("evidencias", "/evidencias", "Evidencias", Permission.SEE_OPERATIONS),
    ("documentos", "/documentos", "Documentos", Permission.SEE_PAPERS),
    ("registros", "/registros", "Consejo y registros", Permission.SEE_REGISTERS),
    ("grupos", "/grupos", "Grupos", Permission.SEE_GROUPS),
    ("silencios", "/silencios", "Silencios", Permission.SEE_SILENCES),
    ("turnos", "/turnos", "Turnos", Permission.SEE_TURNS),
    ("reglas", "/reglas", "Reglas", Permission.SEE_RULES),
    ("ayuda", "/ayuda", "Ayuda", Permission.SEE_HELP),
)
