"""One flat-out load through a hub: what it took, and whether anything is missing."""

from dataclasses import dataclass

from bench import fleet, usage
from bench.ground import Broker, Hub
from bench.setting import Setting
from bench.usage import Cpu


@dataclass(frozen=True)
class Run:
    """``rate`` counts messages from the first publish to the last receipt; ``cpu`` is for all of them."""

    rate: float
    messages: int
    cpu: Cpu
    lost: int
    peak_mb: float

    def cpu_per_1000(self) -> Cpu:
        k = self.messages / 1000
        return Cpu(self.cpu.hub / k, self.cpu.database / k, self.cpu.broker / k)


async def flat_out(setting: Setting, broker: Broker, hub: Hub, count: int, **options: object) -> Run:
    """Everybody publishes as fast as the windows allow; ends with the last receipt."""
    ground = setting.ground
    before = ground.cpu(hub.pid, broker)
    found = await fleet.load(
        ground.programs, broker.port, count=count, receipts=1, seed=setting.next_seed(), **options
    )
    used = ground.cpu(hub.pid, broker).since(before)
    rate = found.sent / ((found.last_receipt_us - found.started_us) / 1e6)
    return Run(rate, found.sent, used, count - found.receipts, usage.peak_mb(hub.pid))
