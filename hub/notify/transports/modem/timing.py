"""How long things take. Each constant says why; tests give shorter ones."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Seconds."""

    command_s: float = 5.0
    """A command that asks the modem itself; vendors say 0.3 to 5."""
    greeting_s: float = 1.0
    """A modem that is awake answers AT within milliseconds; one that speaks at all, within this."""
    network_s: float = 30.0
    """A command that asks the network (operator, USSD) or lists a full memory."""
    prompt_s: float = 10.0
    """From ``AT+CMGS`` to the prompt."""
    submit_s: float = 30.0
    """From the PDU to ``+CMGS``; a network that is well needs 2 to 6, and a later answer still counts."""
    report_grace_s: float = 20.0
    """How long a delivery report may clear up a text whose answer never came."""
    part_retry_s: float = 2.0
    """Between two attempts of a part."""
    sim_s: float = 20.0
    """From power on to a SIM that answers."""
    watch_s: float = 30.0
    """Between two looks at registration and signal."""
    search_s: float = 3.0
    """The same while there is no network."""
    sweep_s: float = 60.0
    """Between two looks into the memories: notices get lost."""
    unregistered_s: float = 300.0
    """Without network for so long, the radio is restarted; a modem can lose its way for hours."""
    parts_s: float = 900.0
    """How long an inbound text waits for its other parts."""
    balance_s: float = 43_200.0
    """Between two queries of the balance; some operators count them."""
    boot_s: float = 20.0
    """From ``AT+CFUN=1,1`` to a modem that can be spoken to."""
    reopen_s: float = 1.0
    """Between two attempts to open the port."""
    problem_s: float = 10.0
    """Between two attempts with a modem that answers and cannot send (no SIM, no PIN)."""
