"""The inspector's page: its words, its files, and the version that the phone's cache goes by."""

import hashlib

from hub.operations import words
from hub.web.context import Console

PERMIT_STATES: dict[str, str] = {
    "valid": "Vigente",
    "expired": "Vencido",
    "none": "No tiene",
    "other_place": "De otro lugar",
    "not_needed": "No requiere",
    "unknown": "Sin verificar",
}
NAMES = {"kind": words.KINDS, "state": words.STATES}
VERDICTS: dict[str, str] = {
    "proven": "Comprobada",
    "unsupported": "Sin posición que la compruebe",
    "contradicted": "La posición dice otro lugar",
}
_FILES = (
    "css/base.css",
    "css/console.css",
    "css/field.css",
    "js/theme.js",
    "js/field/",
    "img/almenara.svg",
    "terreno.webmanifest",
    "vendor/atkinson/latin-400.woff2",
    "vendor/atkinson/latin-700.woff2",
)


def page_html(console: Console) -> str:
    values = {"permit_states": PERMIT_STATES.items(), "results": words.RESULTS.items()}
    return bytes(console.page("terreno.html", values).body).decode()


def page_files(console: Console) -> list[str]:
    """The addresses of all that the page needs without a network."""
    names = [name for start in _FILES for name in console.assets.names(start)]
    return [console.assets.url(name) for name in names]


def page_version(console: Console) -> str:
    """Another one as soon as the page or any file of the console is another."""
    return hashlib.sha256(page_html(console).encode()).hexdigest()[:12]
