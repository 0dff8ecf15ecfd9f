"""Joining a swarm: the DHT's node of this process, on the addresses that were asked for and no others."""

from __future__ import annotations

from collections.abc import Sequence

from hivemind import DHT

WORKERS = 32
"""Lookups at once."""
START_SECONDS = 15.0
QUIET = {"use_relay": False, "use_auto_relay": False, "auto_nat": False, "nat_port_map": False}
"""Nothing is asked of routers and relays: a peer is where its addresses say."""


def join(initial_peers: Sequence[str], identity: str, listen: Sequence[str]) -> DHT:
    """A node that the swarm may ask, where it listens somewhere; else one that only asks. None of `initial_peers`: a new swarm.

    Raises P2PDaemonError where none of them answers.
    """
    return DHT(
        initial_peers=list(initial_peers),
        start=True,
        num_workers=WORKERS,
        client_mode=not listen,
        **({"host_maddrs": list(listen)} if listen else {"no_listen": True}),
        identity_path=identity,
        startup_timeout=START_SECONDS,
        check_if_identity_free=False,  # else a second daemon is started to see
        **QUIET,
    )
