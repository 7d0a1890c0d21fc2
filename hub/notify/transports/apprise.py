"""Telegram, e-mail, push and webhooks by Apprise: one message to a group's channel, not to each person.

The channels are the lines of a file (they hold keys). A text of an alert goes there once, however many
people of the group it is for.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import apprise

from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent

log = logging.getLogger(__name__)

ANSWER_S = 7.0
MAX_REMEMBERED = 1000

_KINDS = {1: apprise.NotifyType.FAILURE, 2: apprise.NotifyType.WARNING}


class AppriseTransport:
    """``urls`` are Apprise's own addresses; raises ValueError (Spanish) for one that it does not know.

    The message names the line and never shows it.
    """

    def __init__(self, urls: Sequence[str], title: str = "") -> None:
        self._channels = [_channel(url, number) for number, url in enumerate(urls, 1)]
        if not self._channels:
            raise ValueError(
                "el archivo de canales no tiene ninguno; escriba una dirección de Apprise por línea"
            )
        self._title = title
        self._sent: OrderedDict[tuple[object, str], asyncio.Future[None]] = OrderedDict()

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """No references: a channel does not report."""
        key = (message.alert_id or message.notification_id, message.text)
        going = self._sent.get(key)
        if going is None:
            going = self._remember(key, message)
        try:
            await asyncio.shield(going)
        except TransportError:
            self._sent.pop(key, None)
            raise
        return ()

    def _remember(self, key: tuple[object, str], message: Outgoing) -> "asyncio.Future[None]":
        going = self._sent[key] = asyncio.ensure_future(self._notify_all(message))
        while len(self._sent) > MAX_REMEMBERED:
            self._sent.popitem(last=False)
        return going

    async def _notify_all(self, message: Outgoing) -> None:
        """Every channel by itself; one that took it is enough to have told the group."""
        results = await asyncio.gather(*(self._notify(channel, message) for channel in self._channels))
        if True in results:
            failed = len(results) - results.count(True)
            if failed:
                log.warning("apprise: %d of %d channels did not take a text", failed, len(results))
            return
        is_unsure = None in results
        cause = "los canales no contestaron" if is_unsure else "ningún canal aceptó el mensaje"
        raise TransportError(cause, permanent=False, maybe_sent=is_unsure)

    async def _notify(self, channel: Any, message: Outgoing) -> bool | None:
        """None: nobody knows. In a thread, which is left behind when it takes too long."""
        kind = _KINDS.get(message.priority, apprise.NotifyType.INFO)
        try:
            async with asyncio.timeout(ANSWER_S):
                return bool(
                    await asyncio.to_thread(
                        channel.notify, body=message.text, title=self._title, notify_type=kind
                    )
                )
        except TimeoutError:
            return None
        except Exception as error:  # noqa: BLE001  a plug-in of others must not stop the rest
            log.warning("apprise: a channel failed (%s)", type(error).__name__)
            return False

    async def events(self) -> AsyncIterator[TransportEvent]:
        """Channels neither report nor answer."""
        nothing: tuple[TransportEvent, ...] = ()
        for event in nothing:
            yield event

    async def health(self) -> Health:
        """Asking a channel would be a message: only the texts themselves tell."""
        return Health(is_ok=True, detail=f"{len(self._channels)} canales; se sabe al enviar")

    async def run_loop(self) -> None:
        """Each message connects by itself."""


def _channel(url: str, number: int) -> Any:
    channel = apprise.Apprise.instantiate(url)
    if channel is None:
        raise ValueError(f"la línea {number} del archivo de canales no es una dirección de Apprise")
    return channel
