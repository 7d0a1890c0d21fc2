"""Files for Grafana's provisioning: data sources, dashboards, alert rules. Pure but for :func:`write`.

In these files ``$`` starts a variable of Grafana's environment; dashboards, where it starts one of theirs,
are JSON beside them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dashboards import defaults as house
from dashboards.boards import BOARDS
from dashboards.builder import Board

Json = dict[str, Any]
CONTACT = "almenara-hub"
GROUP = "Plataforma"
HOOK_TOKEN = "$__file{/etc/grafana/secrets/almenara-hook}"  # noqa: S105  (where Grafana finds it)
DASHBOARDS_PATH = "/var/lib/grafana/dashboards/almenara"


def documents(console_url: str, boards: Sequence[Board] = BOARDS) -> Mapping[str, Json]:
    """Dashboards by uid."""
    return {board.uid: board.document(console_url.rstrip("/")) for board in boards}


def datasources() -> Json:
    """Addresses and secrets come from Grafana's environment or files, never from here."""
    return {
        "apiVersion": 1,
        "prune": True,
        "datasources": [
            {
                "name": "Almenara PostgreSQL",
                **_source(house.PG),
                "url": "${ALMENARA_PG_ADDRESS}",
                "user": "grafana_ro",
                "isDefault": True,
                "jsonData": {
                    "database": "${ALMENARA_PG_DATABASE}",
                    "sslmode": "${ALMENARA_PG_SSLMODE}",
                    "postgresVersion": 1500,
                    "timescaledb": False,
                    "maxOpenConns": 5,
                },
                "secureJsonData": {"password": "$__file{/etc/grafana/secrets/almenara-pg}"},
            },
            {
                "name": "Almenara InfluxDB",
                **_source(house.INFLUX),
                "url": "${ALMENARA_INFLUX_URL}",
                "jsonData": {
                    "dbName": "${ALMENARA_INFLUX_BUCKET}",
                    "httpMode": "POST",
                    "httpHeaderName1": "Authorization",
                },
                "secureJsonData": {"httpHeaderValue1": "Token ${ALMENARA_INFLUX_TOKEN}"},
            },
            {
                "name": "Almenara Prometheus",
                **_source(house.PROMETHEUS),
                "url": "${ALMENARA_PROMETHEUS_URL}",
                "jsonData": {"httpMethod": "POST"},
            },
        ],
    }


def _source(source: Mapping[str, str]) -> Json:
    return {**source, "access": "proxy", "editable": False}


def providers() -> Json:
    options = {"path": DASHBOARDS_PATH}
    provider = {
        "name": "almenara",
        "folder": house.FOLDER,
        "folderUid": house.FOLDER_UID,
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": options,
    }
    return {"apiVersion": 1, "providers": [provider]}


# ------------------------------------------------------------------------------------------- alerting


def alert_rules() -> list[Json]:
    """What Grafana itself watches: the platform, of which a hub that is down cannot speak."""
    return [
        _rule(
            "almenara-hub-away",
            "El hub no responde",
            "Prometheus no puede leer /metrics del hub.",
            'min(up{job="almenara"})',
            below=1,
            wait="2m",
        ),
        _rule(
            "almenara-broker-away",
            "Una vía sin broker",
            "El hub perdió la conexión al broker por una de sus vías.",
            "min(almenara_broker_connected)",
            below=1,
            wait="1m",
        ),
        _rule(
            "almenara-transports-away",
            "Ningún transporte de avisos",
            "No hay ningún transporte por el que puedan salir avisos.",
            "max(almenara_transport_up)",
            below=1,
            wait="1m",
        ),
        _rule(
            "almenara-slow-notices",
            "Avisos lentos",
            "El primer aviso tarda más de 2 s en salir (percentil 99).",
            "histogram_quantile(0.99, sum by (le) (rate(almenara_notify_seconds_bucket[5m])))",
            above=2,
            wait="5m",
        ),
        _rule(
            "almenara-spool-growing",
            "Telemetría en espera",
            "Más de 1 GB confirmado que InfluxDB todavía no tiene.",
            "sum(almenara_telemetry_waiting_bytes)",
            above=1e9,
            wait="15m",
        ),
    ]


def _rule(
    uid: str,
    title: str,
    doc: str,
    query: str,
    *,
    below: float | None = None,
    above: float | None = None,
    wait: str,
) -> Json:
    kind, bound = ("lt", below) if above is None else ("gt", above)
    source = house.PROMETHEUS["uid"]
    asked = {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": source,
        "model": {"refId": "A", "expr": query, "instant": True, "range": False},
    }
    judged = {
        "refId": "C",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": "C",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": kind, "params": [bound]}}],
        },
    }
    return {
        "uid": uid,
        "title": title,
        "ruleGroup": GROUP,
        "folderUID": house.FOLDER_UID,
        "orgID": 1,
        "condition": "C",
        "for": wait,
        # a hub that says nothing is not a hub that is well
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "labels": {"origen": "almenara"},
        "annotations": {"summary": title, "description": doc},
        # by itself, so that the policies of the server stay as they are
        "notification_settings": {"receiver": CONTACT},
        "data": [asked, judged],
    }


def contact_point(hook_url: str, token: str = HOOK_TOKEN) -> Json:
    """Grafana's alerts become the hub's own; ``token`` is sent as a bearer."""
    return {
        "uid": CONTACT,
        "name": CONTACT,
        "type": "webhook",
        "settings": {
            "url": hook_url,
            "httpMethod": "POST",
            "authorization_scheme": "Bearer",
            "authorization_credentials": token,
        },
        "disableResolveMessage": False,
    }


def alerting(hook_url: str) -> Json:
    """The same as provisioning files have it: groups and contact points."""
    rules = [
        {key: value for key, value in rule.items() if key not in ("ruleGroup", "folderUID", "orgID")}
        for rule in alert_rules()
    ]
    point = contact_point(hook_url)
    receiver = {key: point[key] for key in ("uid", "type", "settings", "disableResolveMessage")}
    return {
        "apiVersion": 1,
        "groups": [{"orgId": 1, "name": GROUP, "folder": house.FOLDER, "interval": "1m", "rules": rules}],
        "contactPoints": [{"orgId": 1, "name": CONTACT, "receivers": [receiver]}],
    }


# --------------------------------------------------------------------------------------------- files


def files(console_url: str, hook_url: str) -> Mapping[str, str]:
    """Path below the folder → text."""
    found = {
        "provisioning/datasources/almenara.yaml": _yaml(datasources()),
        "provisioning/dashboards/almenara.yaml": _yaml(providers()),
        "provisioning/alerting/almenara.yaml": _yaml(alerting(hook_url)),
    }
    for uid, document in documents(console_url).items():
        found[f"dashboards/{uid}.json"] = as_json(document)
    return found


def as_json(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _yaml(document: Json) -> str:
    text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
    return text


def write(folder: Path, console_url: str, hook_url: str) -> list[str]:
    """Write what differs; the paths that did. A file that is no longer made is named, not deleted."""
    changed = []
    for name, text in files(console_url, hook_url).items():
        path = folder / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        changed.append(name)
    return changed


def strays(folder: Path, console_url: str, hook_url: str) -> list[str]:
    """Dashboards in the folder that are ours no more."""
    made = files(console_url, hook_url)
    there = sorted(path.relative_to(folder).as_posix() for path in folder.glob("dashboards/almenara-*.json"))
    return [name for name in there if name not in made]
