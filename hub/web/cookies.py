"""The session's cookie, as every route that gives one gives it."""

from datetime import timedelta

from starlette.responses import Response

from hub.web.settings import WebSettings


def cookie_name(settings: WebSettings) -> str:
    """The ``__Host-`` prefix makes browsers refuse the cookie from anywhere but this host over TLS."""
    return "__Host-almenara" if settings.secure_cookie else "almenara"


def give_cookie(response: Response, settings: WebSettings, cookie: str, length: timedelta) -> None:
    response.set_cookie(
        cookie_name(settings),
        cookie,
        max_age=int(length.total_seconds()),
        path="/",
        secure=settings.secure_cookie,
        httponly=True,
        samesite="strict",
    )
