"""``almenara-edge`` with the flooding driver known to it, and with the clock of a machine that we make up.

The wall clock itself is moved by libfaketime; what the kernel says of it (disciplined by NTP or not) and the
boot's id are no times, so they come from the environment: ``FAULTS_SYNCED`` (0 or 1), ``FAULTS_BOOT_ID``
(the path of a file that holds a UUID).
"""

import os
import sys
from pathlib import Path

from edge import cli, clock, settings


def main() -> int:
    settings.DRIVERS["flood"] = "bench.faults.flood"
    synced, boot_id = os.environ.get("FAULTS_SYNCED"), os.environ.get("FAULTS_BOOT_ID")
    if synced is not None:
        clock.is_synchronised = lambda: synced == "1"
    if boot_id is not None:
        clock._BOOT_ID = Path(boot_id)  # noqa: SLF001 - the kernel's file, replaced for a made-up boot
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
