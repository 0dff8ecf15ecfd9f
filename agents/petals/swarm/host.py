"""The process that hosts blocks: a Petals server over a hivemind DHT, whose every call passes the guard."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from hivemind import DHT
from hivemind.proto.runtime_pb2 import CompressionType
from petals.data_structures import ModelInfo, ServerInfo, ServerState
from petals.models.llama.config import DistributedLlamaConfig
from petals.server import server
from petals.server.throughput import measure_compute_rps
from petals.utils.convert_block import QuantType

from agents.petals.admission.policy import PolicyFile
from agents.petals.admission.record_pipe import RecordPipe
from agents.petals.messages import Hosting, HostOrder
from agents.petals.swarm.handler import GuardedHandler
from agents.petals.swarm.network import join
from agents.petals.swarm.pipe import Pipe, run
from agents.petals.swarm.skeleton import read_config
from agents.petals.swarm.tensors import computed_in

CACHE_TOKENS, CONTEXTS = 16_384, 4
"""Tokens whose keys and values the attention cache holds, of all texts together; more where that is fewer than so many full contexts."""
LARGEST_BATCH = 2048
"""Tokens in one run through a block, as Petals has it."""
CHUNK = 256 << 20
"""Bytes of activations that are computed at once."""
ANNOUNCE_SECONDS = 5.0
"""Between two announcements in the DHT: what a peer that was killed announced is there for twice as long."""
ALLOCATION, CALL, STEP, TEXT = 10.0, 60.0, 60.0, 1800.0
"""Seconds: for room in the cache, for one call, between two steps of a text, and for all of it."""
MEASURED = 10
"""Steps of a block that are timed for what the peer announces of its speed."""
FIRST = 64
"""Tokens in each of them where the speed of reading a prompt is timed."""


def main() -> None:
    run(host)


def host(pipe: Pipe) -> None:
    """Do what the first message orders, until the pipe ends."""
    order = pipe.hear()
    if not isinstance(order, HostOrder):
        raise TypeError(f"the first message is {type(order).__name__}: want an order to host")
    config = read_config(Path(order.folder), order.prefix)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    dtype = config.torch_dtype if device.type == "cuda" else computed_in(config.torch_dtype)
    dht = join(order.initial_peers, order.identity, order.listen)
    # The name that ModuleContainer calls: Petals has no other way to give it a handler.
    server.TransformerConnectionHandler = partial(
        GuardedHandler, policy=PolicyFile(Path(order.policy)), limits=order.limits, records=RecordPipe(pipe.descriptor)
    )
    container = contain(order, config, dht, device, dtype)
    addresses = [str(address) for address in dht.get_visible_maddrs()]
    pipe.watch()
    pipe.say(Hosting(peer=dht.peer_id.to_base58(), addresses=addresses, device=str(device), dtype=name_of(dtype)))
    while pipe.hear() is not None:
        continue
    container.shutdown()


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def contain(order: HostOrder, config: DistributedLlamaConfig, dht: DHT, device: torch.device, dtype: torch.dtype) -> server.ModuleContainer:
    """Load the blocks, announce them, and serve them from threads and a process of their own."""
    count = order.end - order.start
    width = 2 * config.hidden_size // config.num_key_value_groups * dtype.itemsize
    tokens = max(CACHE_TOKENS, CONTEXTS * config.max_position_embeddings)
    return server.ModuleContainer.create(
        dht=dht,
        dht_prefix=order.prefix,
        converted_model_name_or_path=order.folder,
        block_config=config,
        block_indices=list(range(order.start, order.end)),
        attn_cache_bytes=width * tokens * count,
        server_info=describe(config, device, dtype, count),
        model_info=ModelInfo(num_blocks=config.num_hidden_layers),
        min_batch_size=1,
        max_batch_size=LARGEST_BATCH,
        inference_max_length=config.max_position_embeddings,
        max_chunk_size_bytes=CHUNK,
        max_alloc_timeout=ALLOCATION,
        torch_dtype=dtype,
        cache_dir=None,
        max_disk_space=None,
        device=device,
        compression=CompressionType.NONE,
        update_period=ANNOUNCE_SECONDS,
        expiration=2 * ANNOUNCE_SECONDS,
        revision=None,
        token=None,
        quant_type=QuantType.NONE,
        tensor_parallel_devices=(device,),
        should_validate_reachability=False,
        num_handlers=1,  # the guard counts in one process
        request_timeout=CALL,
        session_timeout=TEXT,
        step_timeout=STEP,
        start=True,
    )


def describe(config: DistributedLlamaConfig, device: torch.device, dtype: torch.dtype, count: int) -> ServerInfo:
    """What the peer announces of itself. Its speeds are measured here, as Petals does; that of the network is not: Petals asks a site."""
    inference, forward = (speed(config, device, dtype, tokens) for tokens in (1, FIRST))
    return ServerInfo(
        state=ServerState.JOINING,
        throughput=forward / ((count + 1) / 2),
        inference_rps=inference,
        forward_rps=forward,
        version=server.petals.__version__,
        torch_dtype=name_of(dtype),
        quant_type="none",
        using_relay=False,
    )


def speed(config: DistributedLlamaConfig, device: torch.device, dtype: torch.dtype, tokens: int) -> float:
    """Tokens a second through one block."""
    return measure_compute_rps(
        config,
        device,
        dtype,
        quant_type=QuantType.NONE,
        tensor_parallel_devices=(device,),
        n_tokens=tokens,
        n_steps=MEASURED,
        inference=tokens == 1,
    )


if __name__ == "__main__":
    main()
