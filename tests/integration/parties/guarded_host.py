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
from agents.petals.messages import HostOrder, Limits
from agents.petals.swarm import host
from agents.petals.swarm.handler import GuardedHandler
from agents.petals.swarm.network import join
from agents.petals.swarm.skeleton import read_config


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
    host.CACHE_TOKENS, host.LARGEST_BATCH = 1024, 128  # so small that a test can fill them
    listen = ["/ip4/127.0.0.1/tcp/0"]
    order = HostOrder(
        folder=folder, prefix=prefix, start=0, end=2, initial_peers=[], listen=listen, identity=f"{folder}.key", policy=policy,
        limits=msgspec.json.decode(limits, type=Limits),
    )  # fmt: skip
    dht = join([], order.identity, listen)
    container = host.contain(order, read_config(Path(folder), prefix), dht, torch.device("cpu"), torch.float32)
    sys.stdout.write(f"{dht.get_visible_maddrs()[0]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    container.shutdown()
    container.join(10)
    dht.shutdown()
    dht.join(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
