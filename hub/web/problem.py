"""Errors for people: RFC 9457 documents under the API, Spanish pages elsewhere."""

from http import HTTPStatus

from starlette.responses import JSONResponse

TITLES: dict[int, str] = {
    400: "Solicitud incorrecta",
    401: "Debe ingresar",
    403: "Sin permiso",
    404: "No existe",
    405: "Método no permitido",
    409: "La alerta cambió",
    410: "Ya no está",
    413: "Demasiado grande",
    422: "Datos incorrectos",
    429: "Demasiados intentos",
    500: "Error interno",
    503: "Servicio no disponible",
}

TEXTS: dict[int, str] = {
    400: "El servidor no entendió la solicitud.",
    401: "La sesión venció o no existe. Ingrese de nuevo.",
    403: "Su rol no permite esta acción.",
    404: "La página o el registro no existe.",
    405: "Esta dirección no acepta ese método.",
    409: "Otra persona cambió esta alerta. Revise su estado antes de seguir.",
    410: "El archivo ya no está.",
    413: "El envío es demasiado grande.",
    422: "Revise los datos enviados.",
    429: "Espere antes de intentar otra vez.",
    500: "El servidor falló. Avise al técnico; la falla quedó registrada.",
    503: "La base de datos no responde. Se reintenta sola.",
}


def sentence(error: Exception) -> str:
    """An error's words as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


class Problem(Exception):  # noqa: N818  (RFC 9457's word)
    """An answer that is not success. ``detail`` is Spanish, for people; ``errors`` name fields."""

    def __init__(self, status: int, detail: str = "", errors: dict[str, str] | None = None) -> None:
        super().__init__(detail or TEXTS.get(status, ""))
        self.status = status
        self.errors = errors or {}
        self.retry_after_s: int | None = None

    @property
    def title(self) -> str:
        return TITLES.get(self.status) or HTTPStatus(self.status).phrase

    @property
    def detail(self) -> str:
        return str(self)


def as_json(problem: Problem) -> JSONResponse:
    """``application/problem+json``: type, title, status, detail and, for bad fields, errors."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        document["errors"] = [{"field": name, "detail": text} for name, text in problem.errors.items()]
    return JSONResponse(document, status_code=problem.status, media_type="application/problem+json")
