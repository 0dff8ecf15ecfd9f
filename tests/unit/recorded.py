"""Makes recorded events without sockets: envelopes as a publisher would send them, appended to a real log."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bus.log.log import Log
from bus.subscriber import Received
from bus.topic import Delivery, Topic
from bus.wire import Envelope, encode_data
from schemas import catalogue, export, power, train

_times = itertools.count(1_000_000_000, 1_000_000)

HASH = "ab" * 32
DATASET = train.Dataset(
    path="stdlib", hash=HASH, tokenizer="bytes", vocabulary=256, files=3, training_tokens=900, heldout_tokens=100, split="by file"
)
HYPERPARAMETERS = train.Hyperparameters(
    recipe="micro",
    steps=3,
    batch=2,
    context=8,
    learning_rate=1e-3,
    learning_rate_floor=1e-4,
    warmup_steps=1,
    beta1=0.9,
    beta2=0.95,
    epsilon=1e-8,
    weight_decay=0.1,
    clip_norm=1.0,
    seed=7,
)
STARTED = train.RunStarted(
    hyperparameters=HYPERPARAMETERS, dataset=DATASET, device="CPU", parameters=1000, flops_per_token=6000, versions={"tinygrad": "0.14.0"}
)


def received(topic: str, data: Struct | Any, seq: int = 0, *, source: str = "trainer", epoch: int = 1, **fields: Any) -> Received:
    """One event as a subscriber has it; `seq` 0 is a foreign publisher's."""
    fields = {"time": next(_times), **fields}
    envelope = Envelope(source=source, epoch=epoch if seq else 0, seq=seq, data=Raw(encode_data(data)), **fields)
    event_map = Raw(msgspec.msgpack.encode(envelope))
    return Received(topic, Delivery.DURABLE, event_map, envelope)


def open_log(folder: Path) -> Log:
    return Log.open(folder / "log", {name: topic.type for name, topic in catalogue.topics().items()})


class Recording:
    """A log under `artifacts`, and a publisher that writes straight into it."""

    def __init__(self, artifacts: Path) -> None:
        self.log = open_log(artifacts)
        self._seqs = itertools.count(1)

    def add(self, topic: Topic[Any], data: Any, **fields: Any) -> Received:
        event = received(topic.name, data, next(self._seqs), **fields)
        self.log.append(event.topic, event.plane, bytes(event.event_map), event.envelope)
        self.log.commit()
        return event

    def steps(self, first: int, last: int, run: str) -> None:
        for step in range(first, last + 1):
            self.add(train.STEP, step_data(step), run=run)

    def damage(self, step: int) -> None:
        """Flip a bit of a recorded step, each of which is a group of its own."""
        (path,) = self.log._folder.glob("*.mcap")
        data = bytearray(path.read_bytes())
        data[data.index(encode_data(step_data(step)))] ^= 1
        path.write_bytes(data)


def step_data(step: int) -> train.Step:
    return train.Step(step=step, loss=5.5 / step, learning_rate=1e-3, grad_norm=1 / 3, seconds=0.5, tokens=16, tokens_per_second=32.0)


def checkpoint_data(step: int) -> train.Checkpoint:
    return train.Checkpoint(
        step=step, hash=HASH, meta_hash=HASH, path="store/ab/x", meta_path="store/ab/y", size=10, loss=2.0, heldout_loss=2.1, final=True
    )


def completed_data(steps: int) -> train.RunCompleted:
    return train.RunCompleted(outcome="finished", steps=steps, loss=1.5, heldout_loss=1.6, tokens=48, seconds=1.5, checkpoint=HASH)


def export_started(name: str = "micro-float32", checkpoint: str = HASH) -> export.Started:
    return export.Started(export=name, recipe="micro", checkpoint=checkpoint, step=3, precision="float32", bytes=100)


def export_parity(name: str = "micro-float32", checkpoint: str = HASH, passed: bool = True) -> export.Parity:
    agreement = export.Agreement(
        backend="onnxruntime", reads="onnx", version="1.32.0", max_abs=1e-6, mean_abs=1e-7, kl=0, top1=1, cached=True
    )
    gate = export.Gate(measure="top1", limit=0.99, worst=1.0 if passed else 0.5, backend="onnxruntime", passed=passed)
    return export.Parity(
        export=name, recipe="micro", checkpoint=checkpoint, step=3, precision="float32", reference="tinygrad", prompts=4, length=16,
        continued=8, seed=0, heldout_tokens=512, perplexity=12.5, agreements=[agreement], rounding=None, gates=[gate], passed=passed,
    )  # fmt: skip


def export_completed(name: str = "micro-float32", checkpoint: str = HASH, parity: str | None = None) -> export.Completed:
    folder = f"train/models/exports/{name}"
    return export.Completed(
        export=name, recipe="micro", checkpoint=checkpoint, step=3, precision="float32", folder=folder, model=f"{folder}/model.onnx",
        bytes=100, seconds=1.0, peak_memory=1000, parity=parity,
    )  # fmt: skip


def export_failed(name: str = "micro-float32", checkpoint: str = HASH, kept: str | None = None) -> export.Failed:
    return export.Failed(
        export=name, recipe="micro", checkpoint=checkpoint, precision="float32", error="NoSpace", message="the disk is full", kept=kept
    )


def power_data(watts: float | None = None) -> power.Sample:
    return power.Sample(
        interval=0.1,
        cpu=0.5,
        load=1.0,
        memory_used=1,
        memory_total=2,
        disk_read=0.0,
        disk_written=0.0,
        network_received=0.0,
        network_sent=0.0,
        temperatures={},
        energy=[],
        watts=watts,
    )
