"""The connection handler of the blocks hosted here: Petals' own, with a guard before each of its calls.

It is one process, forked by the host, with all sessions in it. What it lets pass of a call is what stock clients send: see claims.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hivemind.p2p import P2P, P2PContext
from hivemind.proto.runtime_pb2 import ExpertInfo, ExpertRequest, ExpertResponse, ExpertUID, Tensor
from hivemind.utils.streaming import combine_from_streaming
from petals.data_structures import parse_uid
from petals.server.handler import TransformerConnectionHandler

from agents.petals.admission.claims import (
    BadClaim,
    Metadata,
    Served,
    Tensors,
    blocks_of,
    check_backward,
    check_forward,
    check_step,
    order_of,
    read_metadata,
    written,
)
from agents.petals.admission.guard import Call, Guard, Records, Refused
from agents.petals.admission.limits import Limiter
from agents.petals.admission.policy import PolicyFile
from agents.petals.admission.shares import Shares
from agents.petals.messages import Limits
from agents.petals.swarm.cache_pipe import CachePipe
from agents.petals.swarm.unary import UnaryContext, guard_unary

BESIDE = 1 << 22
"""Bytes of a call beside its hidden states and their gradients: metadata and prompts."""
MOST_PUSHED = 16
"""Steps that servers before this one pushed into a session, and that wait in it."""
MOST_PARTS = 1 << 12
"""Of a call that comes in parts; a stock client's have 4 MiB each."""
TELL_SECONDS = 1.0

Check = Callable[[Tensors, int, Served], tuple[int, int]]

# Stock clients call what is served under the name of Petals' class, by the types that it declares: both are taken from there.
TransformerConnectionHandler._collect_rpc_handlers()


@dataclass(frozen=True, slots=True)
class Session:
    """A session under way: its blocks, and the rows of each of its steps."""

    uid: str
    rows: int


class GuardedHandler(TransformerConnectionHandler):
    """Refuses, counts and records, and leaves the rest to Petals.

    ModuleContainer makes its handler by the name `petals.server.server.TransformerConnectionHandler`: let that be a functools.partial of
    this class, with who may ask, how much, and what takes the records. Raises ValueError where there is to be more than one handler.
    """

    def __init__(self, *arguments: Any, policy: PolicyFile, limits: Limits, records: Records, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if len(named["handler_event_queues"]) != 1:
            raise ValueError(f"{len(named['handler_event_queues'])} handlers: limits hold in one process, so num_handlers must be 1")
        self._served = _served(self.dht_prefix, self.module_backends, self.inference_max_length)
        self._most_bytes = 2 * 4 * self._served.hidden * self._served.most_tokens + BESIDE
        limiter = Limiter(limits, self._served.most_tokens, self._most_bytes)
        shares = Shares(_cache_tokens(self.module_backends), self._served.longest * len(self.module_backends))
        self._guard = Guard(policy, limiter, shares, records, time.monotonic)
        self._sessions: dict[str, Session] = {}
        self._serving = contextlib.AsyncExitStack()

    @classmethod
    def _get_handle_name(cls, namespace: str | None, method_name: str) -> str:
        name: str = TransformerConnectionHandler._get_handle_name(namespace, method_name)
        return name

    def run(self) -> None:
        P2P.receive_raw_data = staticmethod(_bounded(self._most_bytes))
        super().run()

    async def add_p2p_handlers(self, p2p: P2P, *arguments: Any, **named: Any) -> None:
        guard_unary(p2p, self._guard)
        self._pipe = CachePipe(next(iter(self.module_backends.values())), self.request_timeout)
        await self._serving.enter_async_context(self._pipe.opened())
        self._telling = asyncio.create_task(self._tell())
        await super().add_p2p_handlers(p2p, *arguments, **named)

    async def remove_p2p_handlers(self, *arguments: Any, **named: Any) -> None:
        await super().remove_p2p_handlers(*arguments, **named)
        self._telling.cancel()
        self._guard.tell(all_of_it=True)
        await self._serving.aclose()

    async def rpc_info(self, request: ExpertUID, context: UnaryContext) -> ExpertInfo:
        if request.uid and request.uid not in self.module_backends:
            raise Refused("no such block is hosted here")
        return await super().rpc_info(request, context)

    async def rpc_forward(self, request: ExpertRequest, context: UnaryContext) -> ExpertResponse:
        self._accept(context.call, request, check_forward)
        return await super().rpc_forward(request, context)

    async def rpc_backward(self, request: ExpertRequest, context: UnaryContext) -> ExpertResponse:
        self._accept(context.call, request, check_backward)
        return await super().rpc_backward(request, context)

    async def rpc_forward_stream(self, requests: AsyncIterator[ExpertRequest], context: P2PContext) -> AsyncIterator[ExpertResponse]:
        with self._call(context, "rpc_forward_stream") as call:
            request = await self._gathered(call, requests)
            self._accept(call, request, check_forward)
            async with contextlib.aclosing(super().rpc_forward_stream(_alone(request), context)) as responses:
                async for response in responses:
                    call.bytes_out += response.ByteSize()
                    yield response

    async def rpc_backward_stream(self, requests: AsyncIterator[ExpertRequest], context: P2PContext) -> AsyncIterator[ExpertResponse]:
        with self._call(context, "rpc_backward_stream") as call:
            request = await self._gathered(call, requests)
            self._accept(call, request, check_backward)
            async with contextlib.aclosing(super().rpc_backward_stream(_alone(request), context)) as responses:
                async for response in responses:
                    call.bytes_out += response.ByteSize()
                    yield response

    async def rpc_inference(self, requests: AsyncIterator[ExpertRequest], context: P2PContext) -> AsyncIterator[ExpertResponse]:
        with self._call(context, "rpc_inference") as call, contextlib.ExitStack() as session:
            steps = self._steps(call, requests, session)
            async with contextlib.aclosing(super().rpc_inference(steps, context)) as responses:
                async for response in responses:
                    call.bytes_out += response.ByteSize()
                    yield response

    async def rpc_push(self, request: ExpertRequest, context: UnaryContext) -> ExpertResponse:
        """A step that another server pushes into a session here. One of a session that is not under way is dropped, as Petals does."""
        with _refusing():
            name = read_metadata(request.metadata).session_id or ""
        if name not in self._sessions or name not in self._session_queues:
            return ExpertResponse()
        if self._session_queues[name].qsize() >= MOST_PUSHED:
            raise Refused(f"{MOST_PUSHED} pushed steps wait in this session already")
        self._accept_step(context.call, request, self._sessions[name])
        return await super().rpc_push(request, context)

    @contextlib.asynccontextmanager
    async def _allocate_cache(self, backends: Sequence[Any], **named: Any) -> AsyncIterator[Any]:
        async with contextlib.AsyncExitStack() as cache:
            async with self._pipe.room(len(backends)):
                handles = await cache.enter_async_context(super()._allocate_cache(backends, **named))
            try:
                yield handles
            finally:
                async with self._pipe.room(len(backends)):
                    await cache.aclose()

    def _call(self, context: P2PContext, rpc: str) -> contextlib.AbstractContextManager[Call]:
        return self._guard.call(context.remote_id.to_base58(), rpc)

    async def _steps(
        self, call: Call, requests: AsyncIterator[ExpertRequest], under_way: contextlib.ExitStack
    ) -> AsyncIterator[ExpertRequest]:
        """The steps of a session that may pass, and its end."""
        session: Session | None = None
        async for request in requests:
            self._guard.take(call, size=request.ByteSize())
            if session is None:
                session = self._opened(call, request, under_way)
            elif request.tensors:
                self._accept_step(call, request, session)
            else:
                break
            yield request
        yield ExpertRequest()

    def _opened(self, call: Call, request: ExpertRequest, under_way: contextlib.ExitStack) -> Session:
        """The session that begins with this step. Petals would give memory to one without a step, too."""
        metadata, rows, length = self._accept(call, request, check_step)
        if metadata.max_length is None or not length <= metadata.max_length <= self._served.longest:
            raise Refused(f"a session of max_length {metadata.max_length}: {length} are its first tokens, {self._served.longest} the most")
        under_way.enter_context(self._guard.holding(call, rows * metadata.max_length * len(blocks_of(request.uid, self._served))))
        session = Session(request.uid, rows)
        if metadata.session_id is not None:
            if metadata.session_id in self._sessions:
                raise Refused("a session of this name is under way")
            self._sessions[metadata.session_id] = session
            under_way.callback(self._sessions.pop, metadata.session_id)
        return session

    def _accept_step(self, call: Call, request: ExpertRequest, session: Session) -> None:
        _, rows, _ = self._accept(call, request, check_step)
        if Session(request.uid, rows) != session:
            raise Refused("a step through other blocks, or with another number of rows, than its session began with")

    def _accept(self, call: Call, request: ExpertRequest, check: Check) -> tuple[Metadata, int, int]:
        """Check what a request says, leave of it what is needed, and count its tokens. Returns its rows and their length, too."""
        with _refusing():
            blocks = blocks_of(request.uid, self._served)
            call.start, call.end = blocks.start, blocks.stop
            metadata = read_metadata(request.metadata)
            order = order_of(metadata, len(request.tensors))
            arguments = [request.tensors[place] for place in order]
            rows, length = check(arguments, len(blocks), self._served)
        self._guard.take(call, tokens=rows * length)
        if order != list(range(len(request.tensors))):
            request.CopyFrom(ExpertRequest(uid=request.uid, tensors=arguments))
        request.metadata = written(metadata)
        for tensor in request.tensors:
            tensor.requires_grad = False
        return metadata, rows, length

    async def _gathered(self, call: Call, requests: AsyncIterator[ExpertRequest]) -> ExpertRequest:
        """A request that came in parts, as one. Of its metadata the first counts."""
        whole = ExpertRequest()
        parts: list[Tensor] = []
        async with asyncio.timeout(self.request_timeout):
            async for request in requests:
                self._guard.take(call, size=request.ByteSize())
                if call.bytes_in > self._most_bytes or len(parts) + len(request.tensors) > MOST_PARTS:
                    raise Refused(f"more than {self._most_bytes} bytes or {MOST_PARTS} parts in one call")
                if not parts:
                    whole.uid, whole.metadata = request.uid, request.metadata
                parts.extend(request.tensors)
        whole.tensors.extend(_combined(parts))
        return whole

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self._guard.tell()


def _served(prefix: str, backends: dict[str, Any], longest: int) -> Served:
    places = [parse_uid(uid)[1] for uid in backends]
    (hidden,) = {backend.config.hidden_size for backend in backends.values()}
    pools = [pool for backend in backends.values() for pool in backend.get_pools()]
    return Served(prefix, min(places), max(places) + 1, hidden, min(pool.max_batch_size for pool in pools), longest)


def _cache_tokens(backends: dict[str, Any]) -> int:
    """Tokens that the attention cache holds, of all blocks together."""
    cache = next(iter(backends.values())).memory_cache
    descriptors = [each for backend in backends.values() for each in backend.get_inference_cache_descriptors(1, 1)]
    tokens: int = cache.max_size_bytes // cache.get_allocation_size(*descriptors)
    return tokens * len(backends)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except BadClaim as error:
        raise Refused(str(error)) from error


def _bounded(most: int) -> Callable[[asyncio.StreamReader], Awaitable[bytes]]:
    """Reads a message of a stream as hivemind does, which believes any length."""

    async def receive_raw_data(reader: asyncio.StreamReader) -> bytes:
        size = int.from_bytes(await reader.readexactly(P2P.HEADER_LEN), P2P.BYTEORDER)
        if size > most:
            raise ValueError(f"a message of {size} bytes: at most {most} are read")
        return await reader.readexactly(size)

    return receive_raw_data


def _combined(parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The tensors that came in these parts: a part with a dtype begins one."""
    begins = [place for place, part in enumerate(parts) if part.dtype or place == 0]
    for begin, end in zip(begins, [*begins[1:], len(parts)], strict=True):
        yield combine_from_streaming(parts[begin:end])


async def _alone(request: ExpertRequest) -> AsyncIterator[ExpertRequest]:
    yield request
