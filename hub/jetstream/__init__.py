"""Reading from a NATS JetStream cluster: what gateways publish over MQTT waits in replicated streams, and
any number of hubs pull from them, acknowledging each message after its transaction has committed.

Knows ``hub.mqtt`` and nothing else of the hub. ``streams`` says what there is in the cluster, ``pull`` reads
from it, ``downlink`` speaks to the gateways over the nodes' MQTT listeners.
"""

from hub.jetstream.downlink import Downlink
from hub.jetstream.nodes import Nodes
from hub.jetstream.pull import PullConsumer
from hub.jetstream.streams import Stream

__all__ = ["Downlink", "Nodes", "PullConsumer", "Stream"]
