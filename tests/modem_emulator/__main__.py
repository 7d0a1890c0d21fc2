"""``PYTHONPATH=tests python -m modem_emulator --link /tmp/modem``: a modem without hardware to play with."""

import argparse
import signal
from pathlib import Path

from modem_emulator.emulator import Emulator


def main() -> None:
    parser = argparse.ArgumentParser(prog="modem_emulator", description="Emulated GSM modem on a pty.")
    parser.add_argument("--link", type=Path, required=True, help="path that the driver opens")
    parser.add_argument("--control", type=Path, help="Unix socket that takes orders in JSON lines")
    parser.add_argument("--log", type=Path, help="file for every text that goes out, in JSON lines")
    parser.add_argument("--message-s", type=float, default=0.0, help="seconds that each text takes")
    parser.add_argument("--pin", default="", help="the SIM's PIN; without it the SIM is open")
    options = parser.parse_args()
    with Emulator(
        options.link,
        message_s=options.message_s,
        pin=options.pin,
        control=options.control,
        log=options.log,
    ):
        print(options.link, flush=True)  # noqa: T201 - says that the modem is ready
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
