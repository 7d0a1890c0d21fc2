"""What can go wrong between this hub and a broker, and whether to try again."""


class MqttError(Exception):
    """Root of the package's errors."""


class ProtocolError(MqttError):
    """The peer sent bytes that are not MQTT, or not allowed at this point. Drop the connection."""


class ConnectionLostError(MqttError):
    """There is no connection, or it ended before the answer came. Try again: it may have arrived."""


class RefusedError(MqttError):
    """The broker turned the connection or the subscription down; ``code`` is its reason code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class PublishError(MqttError):
    """This one message was not taken: it is too large, refused with ``code``, or too many are waiting.

    ``permanent`` says that sending the same message again is of no use.
    """

    def __init__(self, message: str, *, code: int = 0, permanent: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent


class HandlerError(MqttError):
    """The handler did not commit its batch: the connection is given up so that it comes again."""
