"""Byte-level BPE by the library `tokenizers`, as GPT-2 has it: any text can be encoded, and the same text trains the same tokenizer."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from agents.trainer.data.tokens import END, Ids

SAMPLE = 16 << 20
"""Bytes of training text, from its start, that a tokenizer is trained on."""


class Bpe:
    """A trained tokenizer. What a text says about END is text: only documents end with the token."""

    name = "bpe"

    def __init__(self, file: bytes) -> None:
        """Raises ValueError where `file` is no tokenizer.json that trains here."""
        _use_all_cores()
        self.file = file
        self._tokenizer = tokenizers.Tokenizer.from_str(file.decode())
        self._tokenizer.encode_special_tokens = True
        separator = self._tokenizer.token_to_id(END)
        if separator is None:
            raise ValueError(f"this tokenizer.json has no token {END}")
        self.separator = separator
        self.vocabulary = self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[bytes]) -> list[Ids]:
        encoded = self._tokenizer.encode_batch_fast([text.decode() for text in texts], add_special_tokens=False)
        return [np.array(each.ids, np.uint32) for each in encoded]

    def decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode([token for token in tokens if 0 <= token < self.vocabulary], skip_special_tokens=False)


def train(texts: Sequence[bytes], vocabulary: int) -> Bpe:
    """A tokenizer of `vocabulary` tokens, fewer where the texts have not that many pairs to merge."""
    _use_all_cores()
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.decode() for text in texts), trainer, length=len(texts))
    return Bpe(tokenizer.to_str(pretty=True).encode())


def _use_all_cores() -> None:
    """Said aloud, it also keeps the library from warning whenever this process starts another: those run other programs at once."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
