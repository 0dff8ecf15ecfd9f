"""What is exported: the weights of a checkpoint, proved to be those that it names, and the facts that go with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.exporter.tokenizer import Tokens, tokens_of
from agents.parts.checkpoint import BadCheckpoint, read_meta
from agents.parts.heldout import SIZE_LIMIT, BadHeldout
from agents.parts.recipes import Recipe, shapes
from agents.parts.weights import Weights
from bus.store import NotInStore, Store
from schemas.train import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`files` hold the `weights`, whose SHA-256 is `checkpoint`; `facts` go into the metadata of what is made of them."""

    recipe: Recipe
    files: tuple[Path, ...]
    weights: Weights
    checkpoint: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a run has kept beside its weights: its tokens, and a sample of what was held out, which agents.parts.heldout reads."""

    tokens: Tokens
    heldout: bytes | None


def open_checkpoint(meta_hash: str, store: Store) -> tuple[Source, Kept]:
    """The checkpoint whose JSON has this hash. Reads its weights once, to prove them.

    Raises NotInStore, BadCheckpoint, NoTokenizer, BadHeldout, BadSafetensors.
    """
    meta = read_meta(meta_hash, store)
    content, path = meta.content, store.path(meta.weights)
    prove(path, meta.weights)
    weights = open_weights((path,), content.recipe)
    dataset = content.dataset
    source = Source(
        recipe=content.recipe,
        files=(path,),
        weights=weights,
        checkpoint=meta.weights,
        facts={"run": content.run, "step": str(content.step), "tokenizer": dataset.tokenizer, "data": dataset.hash},
    )
    return source, Kept(tokens=tokens_of(dataset, content.recipe, store), heldout=_heldout(dataset, store))


def _heldout(dataset: Dataset, store: Store) -> bytes | None:
    """The sample's file, which whoever reads it checks."""
    if dataset.heldout_sample is None:
        return None
    if (size := store.path(dataset.heldout_sample).stat().st_size) > SIZE_LIMIT:
        raise BadHeldout(f"a held-out sample of {size} bytes: at most {SIZE_LIMIT} are read")
    return store.read(dataset.heldout_sample)


def open_weights(files: Sequence[Path], recipe: Recipe) -> Weights:
    """The weights of a recipe, in one file or several. Raises BadCheckpoint where they are another's, BadSafetensors, OSError."""
    weights = Weights(files)
    found, expected = {name: weights.shape(name) for name in weights.names}, shapes(recipe)
    if found != expected:
        wrong = min(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        what = f"is {found.get(wrong, 'not there')}, and should be {expected.get(wrong, 'not there')}"
        raise BadCheckpoint(f"{files[0].name} does not hold the weights of recipe {recipe.name}: {wrong} {what}")
    return weights


def prove(path: Path, digest: str) -> None:
    """Read a file of the store against its hash. Raises NotInStore."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise NotInStore(f"{path} was changed: its bytes have the hash {found}, and it is named by {digest}")
