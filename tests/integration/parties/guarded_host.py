"""Hosts the two blocks of a small Llama behind the guard, in a swarm of its own, until its standard input ends; says its address in a line.

Runs in .venvs/petals: FOLDER PREFIX POLICY LIMITS PIPE, where FOLDER is where the model is to be, LIMITS is JSON, PIPE the descriptor that
takes the records, `-` for no guard at all.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import msgspec

import agents.petals.swarm.compatibility  # noqa: F401  # before petals

# isort: split
import torch
from petals.server import server
from transformers import LlamaConfig, LlamaForCausalLM

from agents.petals.admission.policy import PolicyFile
from agents.petals.admission.record_pipe import RecordPipe
from agents.petals.messages import Limits
from agents.petals.swarm.handler import GuardedHandler


def make_model(folder: str) -> None:
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=256,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        eos_token_id=None,
    )
    LlamaForCausalLM(shape).save_pretrained(folder, safe_serialization=True)


def main(folder: str, prefix: str, policy: str, limits: str, pipe: str) -> None:
    torch.set_num_threads(1)
    make_model(folder)
    if pipe != "-":
        server.TransformerConnectionHandler = functools.partial(
            GuardedHandler,
            policy=PolicyFile(Path(policy)),
            limits=msgspec.json.decode(limits, type=Limits),
            records=RecordPipe(int(pipe)),
        )
    host = server.Server(
        initial_peers=[],
        dht_prefix=prefix,
        converted_model_name_or_path=folder,
        block_indices="0:2",
        throughput=10.0,
        num_handlers=1,
        skip_reachability_check=True,
        reachable_via_relay=False,
        use_relay=False,
        use_auto_relay=False,
        host_maddrs=["/ip4/127.0.0.1/tcp/0"],
        device="cpu",
        torch_dtype="float32",
        inference_max_length=64,
        max_batch_size=128,
        attn_cache_tokens=1024,
        step_timeout=30.0,
        update_period=5,
    )
    container = server.ModuleContainer.create(
        dht=host.dht,
        dht_prefix=prefix,
        converted_model_name_or_path=folder,
        block_config=host.block_config,
        attn_cache_bytes=host.attn_cache_bytes,
        server_info=host.server_info,
        model_info=host.model_info,
        block_indices=host.strict_block_indices,
        num_handlers=1,
        min_batch_size=host.min_batch_size,
        max_batch_size=host.max_batch_size,
        max_chunk_size_bytes=host.max_chunk_size_bytes,
        max_alloc_timeout=host.max_alloc_timeout,
        inference_max_length=host.inference_max_length,
        torch_dtype=host.torch_dtype,
        cache_dir=None,
        max_disk_space=None,
        device=host.device,
        compression=host.compression,
        update_period=host.update_period,
        expiration=host.expiration,
        request_timeout=host.request_timeout,
        session_timeout=host.session_timeout,
        step_timeout=host.step_timeout,
        prefetch_batches=1,
        sender_threads=1,
        revision=None,
        token=None,
        quant_type=host.quant_type,
        tensor_parallel_devices=host.tensor_parallel_devices,
        should_validate_reachability=False,
        start=True,
    )
    sys.stdout.write(f"{host.dht.get_visible_maddrs()[0]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    container.shutdown()
    container.join(10)
    host.dht.shutdown()
    host.dht.join(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
