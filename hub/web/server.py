"""Serve the console inside the hub's own event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

log = logging.getLogger(__name__)

# Browsers that hold a live stream get this long to notice that it ended.
SHUTDOWN_S = 3


class WebServerError(Exception):
    """The console cannot listen; the message names the address."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the hub, which cancels :func:`serve`."""
        yield


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WebServerError(f"the console cannot listen on {host}:{port} ({error.strerror})") from error
    listener.setblocking(False)
    return listener


async def serve(
    app: FastAPI, host: str, port: int, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Serve until cancelled; ``on_ready`` gets the port (that of the system's choice for 0).

    Raises :class:`WebServerError` when the address is taken. Installs no signal handlers.
    """
    listener = _bind(host, port)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ws="none",
    )
    server = _Server(config)
    # The socket takes connections as soon as it listens; uvicorn accepts them a moment later.
    listener.listen(config.backlog)
    bound_port: int = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    on_ready(bound_port)
    log.info("console listens on %s:%s", host, bound_port)
    try:
        await asyncio.shield(serving)
    finally:
        app.state.console.bus.close()
        server.should_exit = True
        await serving
        listener.close()
