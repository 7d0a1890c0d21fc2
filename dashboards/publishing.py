"""Publishing over Grafana's API with grafana-client: first the difference, then what differs, no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_client import GrafanaApi, TokenAuth
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards import defaults as house
from dashboards.comparing import bare, difference, within
from dashboards.provisioning import alert_rules, contact_point, documents

Json = dict[str, Any]
VIEWER, EDITOR = 1, 2
PERMISSIONS = [{"role": "Viewer", "permission": VIEWER}]
"""Whoever may look at Grafana looks; who changes dashboards changes these files."""


class PublishError(Exception):
    """The server cannot be published to; the message (Spanish) says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that differs: ``apply`` makes it so."""

    what: str
    lines: Sequence[str]
    apply: Callable[[], object]


class Server:
    """One Grafana. ``url`` as people open it; ``token`` of a service account with the role Admin."""

    def __init__(self, url: str, token: str, timeout_s: float = 15.0) -> None:
        self._api = GrafanaApi.from_url(url, credential=TokenAuth(token), timeout=timeout_s)

    def steps(self, console_url: str, hook_url: str, hook_token: str) -> list[Step]:
        """What differs, in the order in which it has to be done. Raises :class:`PublishError`."""
        try:
            found = [*self._folder()]
            for uid, document in documents(console_url).items():
                found += self._dashboard(uid, document)
            found += self._contact(contact_point(hook_url, hook_token))
            for rule in alert_rules():
                found += self._rule(rule)
        except (GrafanaException, OSError) as error:
            raise PublishError(_told(error)) from error
        return found

    def apply(self, steps: Sequence[Step], tell: Callable[[str], None]) -> None:
        """Do them one after another. Raises :class:`PublishError` naming the one that failed."""
        for number, step in enumerate(steps, 1):
            tell(f"{number}/{len(steps)} {step.what}")
            try:
                step.apply()
            except (GrafanaException, OSError) as error:
                raise PublishError(f"{step.what}: {_told(error)}") from error

    def _get(self, call: Callable[[], Any]) -> Any:
        """What is there, or None."""
        try:
            return call()
        except GrafanaClientError as error:
            if error.status_code == 404:
                return None
            raise

    def _folder(self) -> list[Step]:
        uid = house.FOLDER_UID
        there = self._get(lambda: self._api.folder.get_folder(uid))
        found = []
        if there is None:
            lines = [f"+ carpeta {house.FOLDER}"]
            found.append(Step("carpeta", lines, lambda: self._api.folder.create_folder(house.FOLDER, uid)))
        current = [] if there is None else self._api.folder.get_folder_permissions(uid)
        held = [{"role": p.get("role"), "permission": p["permission"]} for p in current if p.get("role")]
        if sorted(map(str, held)) != sorted(map(str, PERMISSIONS)):
            lines = [f"+ permisos {PERMISSIONS}"]
            apply = lambda: self._api.folder.update_folder_permissions(uid, {"items": PERMISSIONS})  # noqa: E731
            found.append(Step("permisos de la carpeta", lines, apply))
        return found

    def _dashboard(self, uid: str, document: Json) -> list[Step]:
        there = self._get(lambda: self._api.dashboard.get_dashboard(uid))
        old = None if there is None else there["dashboard"]
        if old is not None and bare(old) == document:
            return []
        body = {
            "dashboard": document,
            "folderUid": house.FOLDER_UID,
            "overwrite": True,
            "message": "almenara-dashboards",
        }
        title = f"tablero {document['title']}"
        return [
            Step(title, difference(old, document, uid), lambda: self._api.dashboard.update_dashboard(body))
        ]

    def _contact(self, wanted: Json) -> list[Step]:
        points = self._api.alertingprovisioning.get_contactpoints(wanted["name"])
        there = next((one for one in points if one["uid"] == wanted["uid"]), None)
        # the server hides secrets, so those cannot be compared
        shown = {
            **wanted,
            "settings": {k: v for k, v in wanted["settings"].items() if k != "authorization_credentials"},
        }
        if there is not None and within(shown, there):
            return []
        api, uid = self._api.alertingprovisioning, wanted["uid"]
        apply = (
            (lambda: api.create_contactpoint(wanted))
            if there is None
            else (lambda: api.update_contactpoint(uid, wanted))
        )
        return [Step("punto de contacto", difference(there, shown, uid), apply)]

    def _rule(self, wanted: Json) -> list[Step]:
        api, uid = self._api.alertingprovisioning, wanted["uid"]
        there = self._get(lambda: api.get_alertrule(uid))
        if there is not None and within(wanted, there):
            return []
        apply = (
            (lambda: api.create_alertrule(wanted))
            if there is None
            else (lambda: api.update_alertrule(uid, wanted))
        )
        return [Step(f"regla {wanted['title']}", difference(there, wanted, uid), apply)]


def _told(error: Exception) -> str:
    status: Mapping[int, str] = {
        401: "el token no vale",
        403: "el token no tiene permiso; la cuenta de servicio necesita el rol Admin",
        412: "otra persona cambió el tablero",
    }
    code = getattr(error, "status_code", None)
    return status.get(code or 0) or f"Grafana no responde como se espera: {error}"
