"""A GSM modem made of software, for tests: real pseudo-terminal, AT dialect, network, and faults.

Hold it with :class:`Emulator`; run it apart with ``python -m modem_emulator``.
"""

from modem_emulator.emulator import Emulator
from modem_emulator.faults import DELIVERED, EXPIRED, NEVER, Faults, Reports
from modem_emulator.state import HUAWEI_NOISE, Sent

__all__ = ["DELIVERED", "EXPIRED", "HUAWEI_NOISE", "NEVER", "Emulator", "Faults", "Reports", "Sent"]
