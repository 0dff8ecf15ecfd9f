"""Peers that ask a host for its blocks, stock ones and bad ones. Runs in .venvs/petals: FOLDER PREFIX ADDRESS KEYS.

Each line of its standard input is a JSON list, what to do and its arguments: `id NAME`, or one of the functions of Peers below. It
answers each with a line, `{"done": ...}` or `{"error": ...}`. NAME is the peer that does it; its key is in the folder KEYS. `stock NAME`
makes a stock client, whose id it says; the peer `stock` is the newest of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import agents.petals.swarm.compatibility  # noqa: F401  # before petals

# isort: split
import msgpack
import torch
import uvloop
from hivemind.compression import deserialize_tensor_stream, serialize_torch_tensor
from hivemind.p2p import P2P, PeerID
from hivemind.proto.runtime_pb2 import BLOCKWISE_8BIT, FLOAT16, ExpertRequest, ExpertUID, Tensor
from hivemind.utils import MSGPackSerializer
from hivemind.utils.streaming import split_for_streaming
from petals import AutoDistributedModelForCausalLM
from petals.server.handler import TransformerConnectionHandler
from transformers import AutoModelForCausalLM

HIDDEN, BLOCKS = 32, 2
PATIENCE = 20.0


class Peers:
    """`address` is where the host listens."""

    def __init__(self, folder: str, prefix: str, address: str, keys: str) -> None:
        self.folder, self.prefix, self.address, self._keys = folder, prefix, address, Path(keys)
        self._host = PeerID.from_base58(address.rsplit("/", 1)[1])
        self._uid = " ".join(f"{prefix}.{block}" for block in range(BLOCKS))
        self._p2p: dict[str, P2P] = {}
        self._sessions: dict[str, tuple[asyncio.Queue[ExpertRequest | None], AsyncIterator[Any]]] = {}

    def key(self, name: str) -> Path:
        """The file of a peer's key, made where there is none."""
        path = self._keys / name
        if not path.exists():
            P2P.generate_identity(str(path))
        return path

    async def info(self, name: str) -> int:
        answer = await (await self._stub(name)).rpc_info(ExpertUID(), timeout=PATIENCE)
        return len(answer.serialized_info)

    async def infos(self, name: str, times: int) -> list[str]:
        """What was said to each of so many calls at once."""
        stub = await self._stub(name)
        answers = await asyncio.gather(*(stub.rpc_info(ExpertUID(), timeout=PATIENCE) for _ in range(times)), return_exceptions=True)
        return [str(answer) if isinstance(answer, BaseException) else "served" for answer in answers]

    async def forward(self, name: str, length: int) -> list[int]:
        answer = await (await self._stub(name)).rpc_forward(self._request(length, named=False), timeout=PATIENCE)
        return list(answer.tensors[0].size)

    async def parts(self, name: str, rpc: str, length: int) -> list[int]:
        """A pass whose tensors come in parts of some numbers each."""
        hidden, none = torch.zeros(1, length, HIDDEN), torch.empty(0)
        whole = request_of(self._uid, [hidden, none] if rpc == "rpc_forward_stream" else [hidden, hidden, none])

        async def requests() -> AsyncIterator[ExpertRequest]:
            for tensor in whole.tensors:
                for part in split_for_streaming(tensor, 100):
                    yield ExpertRequest(uid=whole.uid, tensors=[part], metadata=whole.metadata)

        answers = await getattr(await self._stub(name), rpc)(requests())
        (answer,) = await deserialize_tensor_stream(answer.tensors async for answer in answers)
        return list(answer.shape)

    async def begin(self, name: str, session: str, length: int, *, rows: int = 1, **metadata: Any) -> list[int]:
        """Begin a session with a step of so many tokens in each row."""
        request = self._request(length, rows=rows, **{"session_id": session, "max_length": 64, **metadata})
        await self._open(name, session)
        return await self._send(session, request)

    async def step(self, name: str, session: str, length: int) -> list[int]:
        return await self._send(session, self._request(length))

    async def end(self, name: str, session: str) -> None:
        queue, answers = self._sessions.pop(session)
        queue.put_nowait(ExpertRequest())
        queue.put_nowait(None)
        with contextlib.suppress(OSError):  # what follows the end may find the stream closed
            async for _ in answers:
                raise AssertionError("an answer to nothing")

    async def leave(self, name: str, session: str) -> None:
        """Go away in the middle of a session."""
        await self._sessions.pop(session)[1].aclose()

    async def bad(self, name: str, kind: str) -> Any:
        """Send one of `bad_requests`, as a forward pass in parts, and as a session's first step; the host's answer to that."""
        request = bad_requests(self._uid)[kind]
        with contextlib.suppress(Exception):
            await self._ask(name, "rpc_forward_stream", request)
        return await self._ask(name, "rpc_inference", request)

    async def hurried(self, name: str, times: int) -> None:
        """Begin so many sessions at once, and go away before the first step of any is made."""
        p2p = await self._joined(name)
        opened = [await p2p.call_binary_stream_handler(self._host, "TransformerConnectionHandler.rpc_inference") for _ in range(times)]
        for at, (_, _, writer) in enumerate(opened):
            with contextlib.suppress(OSError):  # so many at once that the host drops some
                await P2P.send_protobuf(self._request(1, max_length=2, session_id=f"hurried-{at}"), writer)
            writer.close()

    async def endless(self, name: str) -> str:
        """Begin a message that says that it is a tebibyte long; what the host sends before it closes the stream."""
        _, reader, writer = await (await self._joined(name)).call_binary_stream_handler(
            self._host, "TransformerConnectionHandler.rpc_inference"
        )
        writer.write(P2P.MESSAGE_MARKER + (1 << 40).to_bytes(P2P.HEADER_LEN, P2P.BYTEORDER) + bytes(1 << 16))
        return (await asyncio.wait_for(reader.read(), PATIENCE)).decode(errors="replace")

    async def send(self, name: str, rpc: str, message: str, times: int = 1) -> int:
        """Call with a message of these bytes, written in hexadecimal; how many bytes the answer has."""
        host, handle = self._host, f"TransformerConnectionHandler.{rpc}"
        answer = await asyncio.wait_for(
            (await self._joined(name))._client.call_unary_handler(host, handle, bytes.fromhex(message) * times), PATIENCE
        )
        return len(answer)

    async def push(self, name: str, session: str, length: int) -> None:
        await (await self._stub(name)).rpc_push(self._request(length, session_id=session, pushed=True), timeout=PATIENCE)

    async def close(self) -> None:
        for p2p in self._p2p.values():
            await p2p.shutdown()

    async def _joined(self, name: str) -> P2P:
        if name not in self._p2p:
            self._p2p[name] = await P2P.create(initial_peers=[self.address], identity_path=str(self.key(name)), dht_mode="client")
        return self._p2p[name]

    async def _stub(self, name: str) -> Any:
        return TransformerConnectionHandler.get_stub(await self._joined(name), self._host)

    def _request(self, length: int, *, rows: int = 1, named: bool = True, **metadata: Any) -> ExpertRequest:
        """Hidden states, no prompts, and for a step no hypotheses."""
        return request_of(
            self._uid, [torch.zeros(rows, length, HIDDEN), torch.empty(0), *[torch.empty(0, dtype=torch.int64)] * named], **metadata
        )

    async def _open(self, name: str, session: str) -> None:
        queue: asyncio.Queue[ExpertRequest | None] = asyncio.Queue()

        async def requests() -> AsyncIterator[ExpertRequest]:
            while (request := await queue.get()) is not None:
                yield request

        self._sessions[session] = queue, await (await self._stub(name)).rpc_inference(requests())

    async def _send(self, session: str, request: ExpertRequest) -> list[int]:
        queue, answers = self._sessions[session]
        queue.put_nowait(request)
        answer = await asyncio.wait_for(anext(answers), PATIENCE)
        return list(answer.tensors[0].size)

    async def _ask(self, name: str, rpc: str, request: ExpertRequest) -> list[int]:
        async def requests() -> AsyncIterator[ExpertRequest]:
            yield request
            if rpc == "rpc_inference":
                await asyncio.sleep(PATIENCE)  # who writes on finds the stream closed before he has read why

        answers = await getattr(await self._stub(name), rpc)(requests())
        answer = await asyncio.wait_for(anext(answers), PATIENCE)
        return list(answer.tensors[0].size)


def request_of(uid: str, tensors: list[torch.Tensor], **metadata: Any) -> ExpertRequest:
    return ExpertRequest(uid=uid, tensors=[serialize_torch_tensor(each) for each in tensors], metadata=MSGPackSerializer.dumps(metadata))


def bad_requests(uid: str) -> dict[str, ExpertRequest]:
    """What kills, or stops for long, the handler of stock Petals, and what else nobody should send, by its kind."""
    hidden, none, first = torch.zeros(1, 1, HIDDEN), torch.empty(0), torch.empty(0, dtype=torch.int64)

    def good(**metadata: Any) -> ExpertRequest:
        return request_of(uid, [hidden, none, first], **{"max_length": 8, **metadata})

    def changed(change: Callable[[ExpertRequest], Any], **metadata: Any) -> ExpertRequest:
        request = good(**metadata)
        change(request)
        return request

    def lying(**fields: Any) -> ExpertRequest:
        return changed(lambda request: request.tensors[0].MergeFrom(Tensor(**fields)))

    nested = b"\x90"
    for _ in range(900):
        nested = msgpack.packb([msgpack.ExtType(0x40, nested)])
    return {
        "tuples in tuples": changed(lambda request: setattr(request, "metadata", nested)),
        "tuples in tuples, named": changed(
            lambda request: setattr(request, "metadata", msgpack.packb({"max_length": 8, "args_structure": msgpack.ExtType(0x40, nested)}))
        ),
        "a block named again and again": changed(lambda request: setattr(request, "uid", " ".join([uid.split()[0]] * 3000))),
        "no tokens": request_of(uid, [torch.zeros(1, 0, HIDDEN), none, first], max_length=8),
        "rows without end": lying(size=[1 << 31]),
        "fewer bytes than the shape says": changed(lambda request: request.tensors[0].size.__setitem__(1, 8)),
        "a type of a million letters": lying(dtype="U1000000", compression=FLOAT16),
        "compressed by a codebook": lying(compression=BLOCKWISE_8BIT),
        "a hypothesis that is no row": request_of(uid, [hidden, none, torch.tensor([7])], max_length=8),
        "too many tensors": changed(lambda request: request.tensors.extend([Tensor()] * 100_000)),
        "an adapter": good(active_adapter="someone/lora"),
        "no length": request_of(uid, [hidden, none, first]),
        "too long a session": good(max_length=1 << 20),
        "a text for a length": good(max_length="8"),
        "prompts for other blocks": request_of(uid, [hidden, torch.zeros(3, 1, 1, HIDDEN), first], max_length=8),
        "arguments that are no tensors": good(args_structure=((1, 2, 3), {})),
        "metadata without end": good(note="x" * (1 << 20)),
    }


class Stock:
    """A stock client, with a key that it makes itself."""

    def __init__(self, folder: str, prefix: str, address: str) -> None:
        self._folder = folder
        self._model = AutoDistributedModelForCausalLM.from_pretrained(
            folder, initial_peers=[address], dht_prefix=prefix, torch_dtype=torch.float32, use_chunked_forward=False, max_retries=1
        )
        self._manager = self._model.transformer.h.sequence_manager

    @property
    def id(self) -> str:
        name: str = self._manager.dht.peer_id.to_base58()
        return name

    def generate(self, tokens: int) -> list[int]:
        """What it writes behind four tokens, with them."""
        with torch.inference_mode():
            written: list[int] = self._model.generate(torch.tensor([[5, 6, 7, 8]]), max_new_tokens=tokens, do_sample=False)[0].tolist()
        return written

    def alone(self, tokens: int) -> list[int]:
        """What the same model writes in one process."""
        model = AutoModelForCausalLM.from_pretrained(self._folder, torch_dtype=torch.float32)
        with torch.inference_mode():
            written: list[int] = model.generate(torch.tensor([[5, 6, 7, 8]]), max_new_tokens=tokens, do_sample=False)[0].tolist()
        return written

    def train(self) -> float:
        """The norm of the gradient behind the blocks, of four tokens."""
        hidden = torch.ones(1, 4, HIDDEN, requires_grad=True)
        self._model.transformer.h(hidden).square().sum().backward()
        return float(hidden.grad.norm())

    def close(self) -> None:
        self._manager.shutdown()
        self._manager.dht.shutdown()


def answer(peers: Peers, stock: list[Stock], runner: asyncio.Runner, what: str, name: str, *rest: Any) -> Any:
    if what == "id":
        return PeerID.from_identity(peers.key(name).read_bytes()).to_base58()
    if what == "stock":
        stock.append(Stock(peers.folder, peers.prefix, peers.address))
        return stock[-1].id
    if name == "stock":
        return getattr(stock[-1], what)(*rest)
    named = rest[-1] if rest and isinstance(rest[-1], dict) else {}
    return runner.run(getattr(peers, what)(name, *rest[: len(rest) - bool(named)], **named))


def main(*arguments: str) -> None:
    peers, stock = Peers(*arguments), list[Stock]()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            try:
                said = {"done": answer(peers, stock, runner, *json.loads(line))}
            except Exception as error:
                said = {"error": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        runner.run(peers.close())
    for client in stock:
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
