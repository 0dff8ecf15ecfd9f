"""Training: what a run says of itself, and the commands that steer it.

The run that an event belongs to is in its envelope (`run`), not in its data.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bus.topic import ArtifactPath, Command, Name, Nothing, RecipeName, Sha256, Topic


class Hyperparameters(Struct, frozen=True, kw_only=True):
    """What decides a run's result besides its data. `context` in tokens, `batch` in sequences.

    A step learns from `accumulate` batches. Products have operands of `precision`, a dtype's name. After `patience` evaluations in a row
    without a lower held-out loss the run ends; 0: never.
    """

    recipe: RecipeName
    steps: int
    batch: int
    context: int
    learning_rate: float
    learning_rate_floor: float
    warmup_steps: int
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    clip_norm: float
    seed: int
    accumulate: int = 1
    precision: str = "float32"
    patience: int = 0

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context * self.accumulate


class Dataset(Struct, frozen=True, kw_only=True):
    """What a run reads: `hash` is SHA-256 over the sorted relative names and contents, sizes in tokens and in bytes of text.

    `bytes_per_token` is over the held-out text, `separator` the token after each document, `tokenizer_hash` the SHA-256 of the
    tokenizer.json (null: none is needed), `manifest` that of the JSON which lists every file with its own, `heldout_sample` that of a
    safetensors file with some held-out rows (null: none was kept). Of rendered pictures `files` counts the pictures, and `renderer`
    says what made them.
    """

    path: str
    hash: str
    tokenizer: str
    vocabulary: int
    files: int
    training_tokens: int
    heldout_tokens: int
    split: str
    documents: int | None = None
    training_bytes: int | None = None
    heldout_bytes: int | None = None
    bytes_per_token: float | None = None
    separator: int | None = None
    tokenizer_hash: Sha256 | None = None
    manifest: Sha256 | None = None
    renderer: str | None = None
    heldout_sample: Sha256 | None = None


class RunStarted(Struct, frozen=True, kw_only=True):
    """A run begins. `parameters` counts weights, `flops_per_token` forward and backward.

    `git_commit` is that of the checkout, `git_changed` whether its files differ from it (null outside of one); `parent` the hash of the
    JSON of the checkpoint that the run starts from, null: from drawn weights; `command_line` that of the process.
    """

    hyperparameters: Hyperparameters
    dataset: Dataset
    device: str
    parameters: int
    flops_per_token: int
    versions: dict[str, str]
    git_commit: str | None = None
    parent: str | None = None
    git_changed: bool | None = None
    command_line: list[str] = []


class RunSuspended(Struct, frozen=True, kw_only=True):
    """The trainer ended before its run did, or cannot go on with it for the `reason`; at its next start the run goes on after `step`."""

    step: int
    reason: str | None = None


class RunResumed(Struct, frozen=True, kw_only=True):
    """A run goes on after `step`, as if it had not been interrupted: what it said of later steps is said again, the same to the last bit.

    `checkpoint` is the hash of the weights that it goes on with, null: those that it began with; `tokens`, `loss` and `heldout_loss` are
    those of the run up to `step`, `device` and `versions` what it goes on with.
    """

    step: int
    checkpoint: Sha256 | None = None
    tokens: int = 0
    loss: float | None = None
    heldout_loss: float | None = None
    device: str | None = None
    versions: dict[str, str] = {}


class Step(Struct, frozen=True, kw_only=True):
    """One optimiser step. `loss` in nats per token, `seconds` of wall time, `grad_norm` before clipping, `tokens_seen` in the run so far.

    `joules` is what the machine used since the step before ended, where a sensor covers it, with its source; null elsewhere, for
    the reason in `energy_reason`. `remaining_seconds` is the estimate for the steps that are left, at the mean pace so far.
    """

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    seconds: float
    tokens: int
    tokens_per_second: float
    joules: float | None = None
    energy_source: str | None = None
    joules_per_token: float | None = None
    energy_reason: str | None = None
    tokens_seen: int = 0
    remaining_seconds: float | None = None


class Eval(Struct, frozen=True, kw_only=True):
    """Loss on held-out text, in nats per token and bits per byte, over `tokens` tokens. `best`: no earlier one of the run was lower.

    `accuracy` is the share of held-out examples whose whole text the model would write, `chance` that of guessing among all texts
    there may be; null where texts have no end.
    """

    step: int
    loss: float
    bits_per_byte: float
    tokens: int
    best: bool = False
    accuracy: float | None = None
    chance: float | None = None


class Sampled(Struct, frozen=True, kw_only=True):
    """Text that the weights of `step` produced; of a picture, the number of that held-out one and its true caption."""

    step: int
    prompt: str
    text: str
    temperature: float
    seed: int
    picture: int | None = None
    caption: str | None = None


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Weights and what is needed to use them, in the store. `path` is relative to `artifacts/`.

    `hash` is the SHA-256 of the safetensors file; `meta_hash` that of the JSON beside it; `optimizer_hash` that of the optimiser's
    state, which a run goes on with. `best`: it has the lowest held-out loss of the run so far.
    """

    step: int
    hash: Sha256
    meta_hash: Sha256
    path: ArtifactPath
    meta_path: ArtifactPath
    size: int
    loss: float
    heldout_loss: float | None = None
    final: bool = False
    optimizer_hash: Sha256 | None = None
    best: bool = False


class RunCompleted(Struct, frozen=True, kw_only=True):
    """A run ended as it should: all its steps, or a command to stop. `seconds` of wall time.

    `checkpoint` is the hash of its last weights; it and `loss` are null where the run was stopped before its first step was done.
    `reason` says why a finished run took fewer steps than it was to.
    """

    outcome: Literal["finished", "stopped"]
    steps: int
    loss: float | None
    heldout_loss: float | None
    tokens: int
    seconds: float
    checkpoint: str | None
    reason: str | None = None


class RunFailed(Struct, frozen=True, kw_only=True):
    """A run ended by an error, named with its type and message. `checkpoint` is the hash of the last weights that were good."""

    step: int
    error: str
    message: str
    checkpoint: Sha256 | None = None


class Start(Struct, frozen=True, kw_only=True):
    """Begin a run. What is left out comes from the recipe and the agent's settings. `data` is a file or folder.

    `checkpoint` is the hash of a checkpoint's JSON (`meta_hash`): the run starts from its weights, and with its recipe.
    `vocabulary` is for `bpe`: how many tokens it is to have.
    """

    recipe: RecipeName | None = None
    steps: int | None = None
    seed: int | None = None
    data: str | None = None
    learning_rate: float | None = None
    checkpoint: Sha256 | None = None
    tokenizer: Literal["bytes", "bpe"] | None = None
    vocabulary: int | None = None


class Run(Struct, frozen=True, kw_only=True):
    """The run that a command started or changed."""

    run: Name


State = Literal["idle", "preparing", "training", "paused", "stopping", "done", "failed"]


class Status(Struct, frozen=True, kw_only=True):
    """Where the trainer stands. `remaining_seconds` is the estimate at the present rate."""

    state: State
    run: Name | None = None
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    remaining_seconds: float | None = None
    device: str | None = None
    reason: str | None = None


class Sample(Struct, frozen=True, kw_only=True):
    """Generate `length` tokens after `prompt` from the current weights; the prompt null: one that suits the data.

    A model that sees gets the held-out picture with the number `picture`, null: `seed`.
    """

    prompt: str | None = None
    length: int = 200
    temperature: float = 0.8
    seed: int = 0
    picture: int | None = None


class CheckRecipes(Struct, frozen=True, kw_only=True):
    """See what the named recipes would take here, null: all, and train each that fits for one step."""

    recipes: list[RecipeName] | None = None


class Checking(Struct, frozen=True, kw_only=True):
    """How many recipes are going to be checked: each ends with an event."""

    recipes: int


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes that training takes at its peak, estimated. `checkpoint`: copies of the weights, in the processor's memory."""

    weights: int
    gradients: int
    moments: int
    activations: int
    checkpoint: int


class RecipeChecked(Struct, frozen=True, kw_only=True):
    """What a recipe takes on this machine. `needed` and `free` are bytes of the device's memory; `free` is null where it is not known.

    `loss` in nats per token is that of one real training step, `seconds` its wall time with all that had to be compiled; null where
    the recipe does not fit or the step failed, which `reason` says.
    """

    recipe: RecipeName
    parameters: int
    flops_per_token: int
    device: str
    memory: Memory
    needed: int
    free: int | None
    fits: bool
    reason: str | None = None
    loss: float | None = None
    seconds: float | None = None


RUN_STARTED = Topic("train.run.started", RunStarted)
RUN_SUSPENDED = Topic("train.run.suspended", RunSuspended)
RUN_RESUMED = Topic("train.run.resumed", RunResumed)
STEP = Topic("train.step", Step)
EVAL = Topic("train.eval", Eval)
SAMPLED = Topic("train.sample", Sampled)
CHECKPOINT = Topic("train.checkpoint", Checkpoint)
RUN_COMPLETED = Topic("train.run.completed", RunCompleted)
RUN_FAILED = Topic("train.run.failed", RunFailed)
RECIPE_CHECKED = Topic("train.recipe.checked", RecipeChecked)

START = Command("trainer.start", Start, Run)
STOP = Command("trainer.stop", Nothing, Run)
PAUSE = Command("trainer.pause", Nothing, Run)
RESUME = Command("trainer.resume", Nothing, Run)
STATUS = Command("trainer.status", Nothing, Status)
SAMPLE = Command("trainer.sample", Sample, Sampled)
CHECK_RECIPES = Command("trainer.check_recipes", CheckRecipes, Checking)
