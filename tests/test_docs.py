"""Documents that are drawn from the code, and links that lead somewhere."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from hub.alerts import lifecycle
from hub.notify.transports.modem.errors import all_problems
from hub.notify.transports.modem.settings import ModemSettings
from hub.settings import HubSettings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def settings_table() -> str:
    """The hub's settings as the guide shows them."""
    lines = ["| ajuste | por omisión | qué es |", "|---|---|---|"]
    for name, field in HubSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "") or "Secret" in type(default).__name__ else f"`{default}`"
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines)


def test_the_hub_guide_lists_every_setting() -> None:
    text = (ROOT / "docs" / "instalar-hub.md").read_text("utf-8")
    found = text.split("<!-- ajustes -->")[1].split("<!-- fin de ajustes -->")[0].strip()
    assert found == settings_table()


def modem_settings_table() -> str:
    """A modem's own settings; those of every transport are in the guide of the hub."""
    lines = ["| ajuste | por omisión | qué es |", "|---|---|---|"]
    for name, field in ModemSettings.model_fields.items():
        default = field.get_default()
        shown = "" if default in (None, "", PydanticUndefined) else f"`{default}`"
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines)


def test_the_modem_guide_lists_every_setting_and_every_problem() -> None:
    text = (ROOT / "docs" / "modem-sms.md").read_text("utf-8")
    settings = text.split("<!-- ajustes del módem -->")[1].split("<!-- fin")[0].strip()
    assert settings == modem_settings_table()
    problems = text.split("<!-- problemas del módem -->")[1].split("<!-- fin")[0].strip().splitlines()[2:]
    assert problems == [f"| {problem.cause} | {problem.remedy} |" for problem in all_problems()]


def test_the_lifecycle_in_the_architecture_is_the_one_in_the_code() -> None:
    assert lifecycle.mermaid().strip() in (ROOT / "ARCHITECTURE.md").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = _LINK.findall(document.read_text("utf-8"))
    assert [t for t in targets if not (document.parent / t).exists()] == []


def test_every_document_is_reachable_from_the_readme() -> None:
    texts = [
        p.read_text("utf-8") for p in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md")
    ]
    missing = [p.name for p in ROOT.glob("docs/*.md") if not any(p.name in text for text in texts)]
    assert missing == []
