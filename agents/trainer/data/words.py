"""The tokens of captions: a token is a word, since of the bytes of a caption most say nothing new."""

from __future__ import annotations

import msgspec

from agents.trainer.data.scenes import WORDS
from agents.trainer.data.tokens import END as END_NAME

TOKENS = {word: token for token, word in enumerate(WORDS, start=1)}
END = 0
"""The token before a caption and behind it."""


def tokenizer_file() -> bytes:
    """The tokenizer.json from which the library `tokenizers` makes the same tokens, with END before them; it refuses strange words.

    Not written by the library itself: its hash, by which a run knows the tokens of a checkpoint, stays that of the words.
    """
    end = {"id": END, "content": END_NAME, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    before = {"SpecialToken": {"id": END_NAME, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [end],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [before, first],
            "pair": [before, first, before, second],
            "special_tokens": {END_NAME: {"id": END_NAME, "ids": [END], "tokens": [END_NAME]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {END_NAME: END, **TOKENS}, "unk_token": ""},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2)
