"""What can be set of the Petals peer."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from agents.petals.messages import Limits
from bus.settings import BadSettings

_BLOCKS = re.compile(r"(\d{1,5}):(\d{1,5})")

Rate = Annotated[float, Meta(gt=0, le=1e15)]


class PetalsSettings(Struct, frozen=True, kw_only=True):
    """`model`: a Hugging Face folder; not given: the newest export. `prefix`: its name in the swarm; not given: its folder's.

    `blocks` are those hosted: `all`, `none`, or as `0:2`. `initial_peers` are multiaddresses of a swarm to join, with spaces between them;
    none: a new swarm begins here. `listen` is where peers reach this one. `open`: everybody may use the blocks, not only who is allowed.
    A token of the swarm may take `patience` seconds. The next four bound what one peer may ask.
    `host` and `port` are the HTTP API's; off loopback it needs `token_file`, whose content clients send as their API key.
    `cache_bytes` bounds the layers that are kept for when nobody hosts them.
    """

    model: str | None = None
    prefix: str | None = None
    blocks: str = "all"
    initial_peers: str = ""
    listen: str = "/ip4/127.0.0.1/tcp/0"
    open: bool = False
    patience: Annotated[float, Meta(gt=0, le=3600)] = 2.0
    requests_per_second: Rate = 20.0
    tokens_per_second: Rate = 2000.0
    bytes_per_second: Rate = 64e6
    at_once: Annotated[int, Meta(ge=1)] = 8
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8434
    token_file: str | None = None
    cache_bytes: Annotated[int, Meta(ge=0)] = 1 << 28

    @property
    def peers(self) -> list[str]:
        return self.initial_peers.split()

    @property
    def hosted(self) -> tuple[int, int | None] | None:
        """The blocks that are hosted at the start, None: none. Raises BadSettings."""
        if self.blocks in ("all", "none"):
            return (0, None) if self.blocks == "all" else None
        if (match := _BLOCKS.fullmatch(self.blocks)) is None:
            raise BadSettings(f"petals.blocks is {self.blocks!r}: want all, none, or as 0:2")
        return int(match[1]), int(match[2])

    @property
    def limits(self) -> Limits:
        return Limits(
            requests_per_second=self.requests_per_second,
            tokens_per_second=self.tokens_per_second,
            bytes_per_second=self.bytes_per_second,
            at_once=self.at_once,
        )
