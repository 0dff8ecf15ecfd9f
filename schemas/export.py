"""Export: checkpoints become models that other people's tools run, with a measured proof that they are the same models.

The training run that a model comes from is in the envelope (`run`).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bus.topic import ArtifactPath, Command, Name, Nothing, RecipeName, Sha256, Topic

Precision = Literal["float32", "float16", "bfloat16", "int8", "int4"]
"""What the weights of an exported model are stored as; int8 and int4 in blocks, computed in float32."""

Reads = Literal["weights", "onnx", "safetensors"]
"""What of an export a program reads: the weights as it rounds them, its ONNX files, or its Hugging Face folder's safetensors."""


class Started(Struct, frozen=True, kw_only=True):
    """A checkpoint is being exported. `checkpoint` is the hash of its weights, `bytes` what the files will take on disk, estimated."""

    export: Name
    recipe: RecipeName
    checkpoint: Sha256
    step: int
    precision: Precision
    bytes: int


class Progress(Struct, frozen=True, kw_only=True):
    """How far an export is: `done` of `total` bytes written, or backends compared."""

    export: Name
    stage: Literal["writing", "comparing"]
    done: int
    total: int
    what: str


class Agreement(Struct, frozen=True, kw_only=True):
    """How the model that `backend` runs agrees with the reference on the same prompts; all null where it did not, for the `reason`.

    `broke` says that it can run here, and failed: else the `reason` is why it cannot. `reads` is what of the export it ran; `version`
    is null where it is not installed. Logits are compared at every position, and those that it gives behind a cache too: the largest
    and the mean absolute difference, the mean Kullback-Leibler divergence from the reference in nats, and the share of positions with
    the same likeliest token. `perplexity` is that of held-out text and `perplexity_change` its relative difference from the
    reference's. `greedy_same` is the share of prompts that greedy decoding continues with the same tokens, up to a place where the two
    likeliest of the reference's tokens have logits less than 0.002 apart, so that rounding may choose either: the text behind it is
    another one. `cached`: one token at a time behind a cache, else the whole text each time. `cache_max_abs` is the largest difference
    between logits of a text read in pieces behind the cache and of the text read whole. What is no finite number is null. `note` says
    what must be known to read the figures.
    """

    backend: str
    reads: Reads
    version: str | None
    reason: str | None = None
    broke: bool = False
    max_abs: float | None = None
    mean_abs: float | None = None
    kl: float | None = None
    top1: float | None = None
    perplexity: float | None = None
    perplexity_change: float | None = None
    greedy_same: float | None = None
    cached: bool = False
    cache_max_abs: float | None = None
    seconds: float | None = None
    note: str | None = None


class Gate(Struct, frozen=True, kw_only=True):
    """What every backend must keep: the `worst` value of `measure` among them, which `backend` has, against its `limit`.

    `worst` is null where it is no number, which passes no gate. `onnx_ran`: onnxruntime ran the ONNX files on the processor or, in
    bfloat16, for which it has no kernels there, any program did. `broke` counts the programs that failed. Of two measures `backend` names
    what of the files is worst: `rounding_error` is the root mean square of what rounding changes in a weight, relative to that of the
    weight, and `rotary` how far the decoder's tables of rotation are from their formula, at any position.
    """

    measure: str
    limit: float
    worst: float | None
    backend: str
    passed: bool


class Parity(Struct, frozen=True, kw_only=True):
    """Whether an exported model is the same model in every program that could run it here.

    The `reference` is tinygrad, in float32, with the weights as the export rounds them; `rounding` says how that differs from the
    checkpoint's own weights (null: it does not round). `prompts` token sequences of `length`, drawn with `seed`: the beginnings of
    held-out rows in turn with random tokens, each continued by `continued` tokens. `perplexity` is the reference's on `heldout_tokens`
    of held-out text; both null where the run kept none.
    """

    export: Name
    recipe: RecipeName
    checkpoint: Sha256
    step: int
    precision: Precision
    reference: str
    prompts: int
    length: int
    continued: int
    seed: int
    heldout_tokens: int | None
    perplexity: float | None
    agreements: list[Agreement]
    rounding: Agreement | None
    gates: list[Gate]
    passed: bool


class Completed(Struct, frozen=True, kw_only=True):
    """An export is in place. `folder` (Hugging Face's layout, with the ONNX files) and `model` (the decoder) are relative to `artifacts/`.

    `bytes` is what it takes on disk, `peak_memory` the largest resident size, in bytes, of the process that wrote the files.
    `parity` is the hash of parity.json, null where nothing could be compared for the `reason`.
    """

    export: Name
    recipe: RecipeName
    checkpoint: Sha256
    step: int
    precision: Precision
    folder: ArtifactPath
    model: ArtifactPath
    bytes: int
    seconds: float
    peak_memory: int
    parity: Sha256 | None
    reason: str | None = None


class Failed(Struct, frozen=True, kw_only=True):
    """An export ended without a model, and what was there before stays. `kept` is where files that failed parity lie aside."""

    export: Name
    recipe: RecipeName
    checkpoint: Sha256
    precision: Precision
    error: str
    message: str
    kept: ArtifactPath | None = None


class Text(Struct, frozen=True, kw_only=True):
    """A piece of the text that `exporter.generate` writes for the request that named this `stream`; they count from 0."""

    stream: Name
    index: int
    text: str


class Export(Struct, frozen=True, kw_only=True):
    """Export a checkpoint: `checkpoint` is the hash of its JSON (`meta_hash`), null: the newest one that was announced.

    `block`: weights that share one scale in int4 and int8; `symmetric`: without zero points.
    """

    checkpoint: Sha256 | None = None
    precision: Precision = "float32"
    block: Literal[32, 128] = 32
    symmetric: bool = True


class Exporting(Struct, frozen=True, kw_only=True):
    """The export that a command asked for; it waits until the present one has ended."""

    export: Name


class Status(Struct, frozen=True, kw_only=True):
    """What the exporter does. `waiting` is the export that comes next, `newest` the last folder that was put in place."""

    state: Literal["idle", "exporting"]
    export: Name | None = None
    stage: str | None = None
    done: int = 0
    total: int = 0
    waiting: Name | None = None
    newest: ArtifactPath | None = None


class Generate(Struct, frozen=True, kw_only=True):
    """Continue `prompt` with an exported model: that of `recipe`, null: the newest. Ends after `length` tokens, or before a `stop` text.

    Temperature 0 takes the likeliest token each time; `top_p` draws only among the likeliest that together have this probability.
    Where `stream` gives it a name, the pieces of the text are `exporter.text` events as they are written.
    """

    prompt: str
    length: int = 200
    temperature: float = 0.8
    top_p: float = 1.0
    seed: int = 0
    stop: list[str] = []
    recipe: RecipeName | None = None
    stream: Name | None = None


class Generated(Struct, frozen=True, kw_only=True):
    """Text behind a prompt. `finish` says why it ended: `length`, a `stop` text, or the `end` token of a document.

    `prompt_tokens` counts those of the prompt, of which the model reads the last ones that its context holds; `tokens` those written.
    `first_token_seconds` is from the request to the first; `model` is the folder that wrote it.
    """

    text: str
    finish: Literal["length", "stop", "end"]
    prompt_tokens: int
    tokens: int
    first_token_seconds: float | None
    tokens_per_second: float | None
    model: ArtifactPath


STARTED = Topic("export.started", Started)
PROGRESS = Topic("exporter.progress", Progress)
PARITY = Topic("export.parity", Parity)
COMPLETED = Topic("export.completed", Completed)
FAILED = Topic("export.failed", Failed)
TEXT = Topic("exporter.text", Text)

EXPORT = Command("exporter.export", Export, Exporting)
STATUS = Command("exporter.status", Nothing, Status)
GENERATE = Command("exporter.generate", Generate, Generated)
