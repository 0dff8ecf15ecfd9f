"""A run's tokens in the files that other programs read them from: tokenizer.json and what transformers wants beside it.

tokenizer.json is that of the library `tokenizers`; the others are described at
https://huggingface.co/docs/transformers/main_classes/tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from agents.parts.recipes import Recipe
from agents.parts.tokenizer_file import LIMIT, BadTokenizer, byte_names, open_tokenizer
from bus.store import NotInStore, Store
from schemas.train import Dataset

_NUL = 0


class NoTokenizer(ValueError):
    """A checkpoint whose tokens nobody can read any more; the message says why."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokenizer.json of a run, and the token that stands between two of its documents; `end_name` is null where that is a byte."""

    file: bytes
    end: int
    end_name: str | None


def tokens_of(dataset: Dataset, recipe: Recipe, store: Store) -> Tokens:
    """The tokens that a checkpoint has learnt. Raises NoTokenizer."""
    if dataset.tokenizer == "bytes":
        return Tokens(file=byte_tokenizer().to_str(pretty=True).encode(), end=_NUL, end_name=None)
    file, end = _read(dataset, store), dataset.separator
    try:
        tokenizer = open_tokenizer(file)
    except BadTokenizer as error:
        raise NoTokenizer(f"its tokens cannot be read: {error}") from error
    if (size := tokenizer.get_vocab_size()) > recipe.vocabulary:
        raise NoTokenizer(f"its tokenizer has {size} tokens and its model {recipe.vocabulary}: they do not belong together")
    if end is None or not 0 <= end < size:
        raise NoTokenizer(f"its tokenizer has no token {end}, which is to stand between documents")
    return Tokens(file, end, tokenizer.id_to_token(end))


def byte_tokenizer() -> tokenizers.Tokenizer:
    """One whose tokens are the bytes of a text in UTF-8: a BPE that merges nothing. NUL is a token as any other."""
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=byte_names(), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tokenizer_files(tokens: Tokens, context: int) -> dict[str, bytes]:
    """The content of each file by its name. `context`: tokens of text that the model reads.

    What a text says about the end is text, as in training. No byte is declared a special token: NUL is written as a letter, U+0100,
    which older transformers would take for the end wherever it stands in a text.
    """
    special = {} if tokens.end_name is None else dict.fromkeys(("bos_token", "eos_token", "pad_token"), tokens.end_name)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        **special,
    }
    described = {"tokenizer_config.json": config, "special_tokens_map.json": special}
    return {"tokenizer.json": tokens.file, **{name: msgspec.json.format(msgspec.json.encode(each)) for name, each in described.items()}}


def _read(dataset: Dataset, store: Store) -> bytes:
    if dataset.tokenizer_hash is None:
        raise NoTokenizer(f"its tokens are {dataset.tokenizer}, and the run did not keep which: train it again to export it")
    try:
        if (size := store.path(dataset.tokenizer_hash).stat().st_size) > LIMIT:
            raise NoTokenizer(f"its tokenizer.json has {size} bytes: at most {LIMIT} are read")
        return store.read(dataset.tokenizer_hash)
    except NotInStore as error:
        raise NoTokenizer(f"its tokenizer is gone: {error}") from error
