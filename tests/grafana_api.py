"""A server that keeps what is published to it, and holds each request against the API's description.

Not Grafana: it renders nothing. What it refuses, Grafana refuses.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOKEN = "glsa_de_prueba"
DOCUMENT: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("grafana_api.yaml").read_text("utf-8"))


class GrafanaApi:
    """``wrong`` lists what did not fit the description; ``writes`` counts requests that changed something."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.permissions: dict[str, list[dict[str, Any]]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.wrong: list[str] = []
        self.writes = 0
        self.app = Starlette(
            routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "PATCH"])]
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, lifespan="off", ws="none"))
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # they are the test's
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            listener.close()

    async def _answer(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"message": "Unauthorized"}, 401)
        found = _operation(request.url.path, request.method.lower())
        if found is None:
            self.wrong.append(f"{request.method} {request.url.path} is not described")
            return JSONResponse({"message": "Not found"}, 404)
        template, operation, uid = found
        body = await request.json() if request.method != "GET" else None
        if body is not None and (problem := _problem(operation, body)):
            self.wrong.append(f"{request.method} {template}: {problem}")
            return JSONResponse({"message": problem}, 400)
        self.writes += body is not None
        status, answer = self._do(template, request.method, uid, body)
        if str(status) not in operation["responses"]:
            self.wrong.append(f"{request.method} {template} answers {status}, which is not described")
        return JSONResponse(answer, status)

    def _do(self, template: str, method: str, uid: str, body: Any) -> tuple[int, Any]:
        name = f"{method} {template}"
        if template in ("/api/health", "/api/frontend/settings"):
            return 200, {"database": "ok", "version": "12.4.0", "buildInfo": {"version": "12.4.0"}}
        if name == "POST /api/folders":
            self.folders[body["uid"]] = body
            self.permissions[body["uid"]] = [
                {"role": "Viewer", "permission": 1},
                {"role": "Editor", "permission": 2},
            ]
            return 200, {**body, "id": 1, "version": 1}
        if template == "/api/folders/{uid}":
            return _found(self.folders.get(uid))
        if template == "/api/folders/{uid}/permissions":
            if body is not None:
                self.permissions[uid] = body["items"]
                return 200, {"message": "Folder permissions updated"}
            return 200, self.permissions[uid]
        if name == "POST /api/dashboards/db":
            old = self.dashboards.get(body["dashboard"]["uid"], {"version": 0})
            self.dashboards[body["dashboard"]["uid"]] = {
                **body["dashboard"],
                "id": 7,
                "version": old["version"] + 1,
            }
            return 200, {"status": "success", "uid": body["dashboard"]["uid"]}
        if template == "/api/dashboards/uid/{uid}":
            board = self.dashboards.get(uid)
            return _found(None if board is None else {"dashboard": board, "meta": {"folderUid": "almenara"}})
        if template.startswith("/api/annotations"):
            return 200, self._annotate(method, uid, body)
        if template.startswith("/api/v1/provisioning/contact-points"):
            return self._contact(body)
        return self._rule(method, uid, body)

    def _annotate(self, method: str, uid: str, body: Any) -> Any:
        if method == "GET":
            return [{"id": number, **one} for number, one in self.annotations.items()]
        number = int(uid) if method == "PATCH" else len(self.annotations) + 1
        self.annotations[number] = {**self.annotations.get(number, {}), **body}
        return {"message": "Annotation added", "id": number}

    def _contact(self, body: Any) -> tuple[int, Any]:
        if body is None:
            hidden = [
                {**one, "settings": {**one["settings"], "authorization_credentials": "[REDACTED]"}}
                for one in self.contacts.values()
            ]
            return 200, hidden
        self.contacts[body["uid"]] = body
        return 202, body

    def _rule(self, method: str, uid: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return _found(self.rules.get(uid))
        # a server adds what it takes for granted
        self.rules[body["uid"]] = {**body, "id": 3, "isPaused": False, "provenance": "api"}
        return (201 if method == "POST" else 200), self.rules[body["uid"]]


def _found(one: Any) -> tuple[int, Any]:
    return (404, {"message": "Not found"}) if one is None else (200, one)


def _operation(path: str, method: str) -> tuple[str, dict[str, Any], str] | None:
    for template, methods in sorted(DOCUMENT["paths"].items(), key=lambda item: "{" in item[0]):
        match = re.fullmatch(template.replace("{uid}", "(?P<uid>[^/]+)"), path)
        if match and method in methods:
            return template, methods[method], match.groupdict().get("uid", "")
    return None


def _problem(operation: dict[str, Any], body: Any) -> str:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = sorted(jsonschema.Draft202012Validator(whole).iter_errors(body), key=str)
    return "" if not errors else f"{errors[0].json_path}: {errors[0].message}"
