"""Has the guard decide on a call of one message before hivemind reads that: of four MiB of nothing it makes forty times as much.

hivemind's own handler of such calls decodes first, and tells then who has sent it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hivemind.p2p import P2P, P2PContext, PeerID

from agents.petals.admission.claims import MOST_TENSORS, BadClaim
from agents.petals.admission.guard import Call, Guard, Refused
from agents.petals.admission.wire import check_fields

MOST_FIELDS = MOST_TENSORS + 2
"""Of a request: its tensors, the blocks, and the metadata."""

Answer = Callable[[Any, P2PContext], Awaitable[Any]]  # Any: messages of protobuf


@dataclass(frozen=True, kw_only=True)
class UnaryContext(P2PContext):
    """What a method is told of a call of one message, with the call itself, which has begun."""

    call: Call


def guard_unary(p2p: P2P, guard: Guard) -> None:
    """From now on a method for one message that is added here is called for those that may pass, with a UnaryContext."""
    p2p._add_protobuf_unary_handler = partial(_add, p2p, guard)


async def _add(p2p: P2P, guard: Guard, name: str, answer: Answer, kind: Any, balanced: bool = False) -> None:
    """In place of P2P._add_protobuf_unary_handler; `kind` is the type of the message."""

    async def answered(request: bytes, peer: PeerID) -> bytes:
        with guard.call(peer.to_base58(), name.rpartition(".")[2]) as call:
            guard.take(call, size=len(request))
            message = _read(request, kind)
            response: bytes = (await answer(message, UnaryContext(name, p2p.peer_id, peer, call=call))).SerializeToString()
            call.bytes_out += len(response)
            return response

    await p2p._client.add_unary_handler(name, answered, balanced=balanced)


def _read(request: bytes, kind: Any) -> Any:
    try:
        check_fields(request, MOST_FIELDS)
    except BadClaim as error:
        raise Refused(str(error)) from error
    return kind.FromString(request)
