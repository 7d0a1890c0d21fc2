"""Every fault, in one table: what is done to the world while the flood flows. Add one, and it is played."""

from bench.faults import clocks, disks, kills, network
from bench.faults.fault import Fault, flowing

KILLS = (
    Fault(
        name="edge",
        title="an edge agent killed",
        play=flowing(kills.edge),
        is_quick=True,
    ),
    Fault(name="hub", title="the hub killed", play=flowing(kills.hub), is_quick=True),
    Fault(
        name="broker-forgets",
        title="Mosquitto killed, its memory lost",
        play=flowing(kills.mosquitto),
        is_quick=True,
    ),
    Fault(
        name="broker-keeps",
        title="Mosquitto killed, sessions of up to a second before on its disk",
        play=flowing(kills.mosquitto),
        plan={"broker": "lasting"},
    ),
    Fault(
        name="embedded-forgets",
        title="the embedded broker killed, its store deleted",
        play=flowing(kills.embedded_forgets),
        plan={"broker": "embedded"},
        is_quick=True,
    ),
    Fault(
        name="embedded-keeps",
        title="the embedded broker killed, its store kept",
        play=flowing(kills.embedded_keeps),
        plan={"broker": "embedded"},
    ),
    Fault(
        name="database",
        title="PostgreSQL killed: crash recovery",
        play=flowing(kills.database),
        is_quick=True,
    ),
    Fault(
        name="everything",
        title="edges, hub, embedded broker and PostgreSQL killed at once",
        play=flowing(kills.everything, 2),
        plan={"broker": "embedded"},
        simulated="a power cut of a machine would also take what its kernel had not written yet",
    ),
    Fault(
        name="two-hubs",
        title="two hubs share the load; one killed until the other has taken over, then the other killed",
        play=kills.one_of_two_hubs,
        check=kills.taken_over_soon,
        plan={"hubs": 2, "edges": 4},
    ),
)
NETWORK = (
    Fault(
        name="link-edge",
        title="an edge's link reset, cut, stalled, slowed",
        play=network.edge_link(),
        plan={"edge_proxies": True},
    ),
    Fault(
        name="link-hub",
        title="the hub's link to the broker reset, cut, stalled, slowed",
        play=network.hub_link(),
        plan={"hub_proxy": True},
    ),
    Fault(
        name="half-open-edge",
        title="an edge's connection becomes half-open: what is sent vanishes",
        play=flowing(network.half_open_edge, 2),
        recovers_within_s=30.0,  # an alarm finds the link dead in 5 s, other events in 20 s
        plan={"edge_proxies": True},
    ),
    Fault(
        name="half-open-hub",
        title="the hub's connections become half-open",
        play=flowing(network.half_open_hub, 1),
        recovers_within_s=12.0,
        plan={"hub_proxy": True},
    ),
)
_CLOCKS = {
    "clock-ahead": ("+10m", "10 minutes ahead"),
    "clock-behind": ("-10m", "10 minutes behind"),
    "clock-1970": ("@1970-01-01 00:05:00", "in 1970, before NTP"),
    "clock-2099": ("@2099-12-31 23:00:00", "in 2099"),
}
CLOCKS = (
    *(
        Fault(
            name=name,
            title=f"edges boot with their clocks {words}; two reboots; then NTP steps them",
            play=clocks.wrong_clock(wall),
            check=clocks.times_are_right,
            simulated=(
                "libfaketime moves the wall clock, a reboot is a kill and a new boot id,"
                " the last gateway's kernel claims to be synchronised"
            ),
            is_quick=name == "clock-1970",
        )
        for name, (wall, words) in _CLOCKS.items()
    ),
    Fault(
        name="away",
        title="the hub away for 23 h, then the backlog drains beside fresh presses",
        play=clocks.away,
        check=clocks.drained_well,
        plan={"edge_proxies": True, "flood": {"window": 10_000_000}},
        weight=1.5,
        simulated=(
            "the 23 h are the backlog's size, wall clocks as far back while it was made (libfaketime) and its"
            " monotonic stamps aged as much; nobody waited"
        ),
    ),
)
DISKS = (
    Fault(
        name="disk-full",
        title="an edge's disk full behind a cut link, the agent killed on it",
        play=disks.full,
        check=disks.gave_up_by_rule,
        plan={"edges": 2, "edge_proxies": True, "flood": {"window": 10_000_000, "pad": 1500}},
    ),
    Fault(
        name="torn-outbox",
        title="outbox files damaged after a kill: pages turned over, cut short, log torn",
        play=disks.torn_outbox,
        check=disks.tears_reported,
        plan={"edges": 3, "edge_proxies": True, "health_interval_s": 1.0, "flood": {"window": 10_000_000}},
    ),
    Fault(
        name="torn-pages",
        title="PostgreSQL killed, pages that it was writing torn in halves",
        play=disks.torn_pages,
        check=disks.pages_are_whole,
        simulated="the halves come from the log's full-page images and from the state at the checkpoint",
    ),
)
FAULTS = (*KILLS, *NETWORK, *CLOCKS, *DISKS)
