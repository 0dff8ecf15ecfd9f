"""What lies in an exported folder, read within bounds and checked before a library opens it: the files are untrusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.external_data import BadModel, locations, read_model

CONFIG_LIMIT = 1 << 20
"""Bytes of config.json that are parsed at most."""


class Config(Struct, frozen=True, kw_only=True):
    """What is needed of Hugging Face's config.json: tokens that the model reads at most, and the one behind a document, if any."""

    max_position_embeddings: Annotated[int, Meta(ge=1)]
    eos_token_id: Annotated[int, Meta(ge=0)] | None = None


def read_config(folder: Path) -> Config:
    """Raises BadModel."""
    try:
        return msgspec.json.decode(read_bounded(folder / "config.json", CONFIG_LIMIT), type=Config)
    except (Unreadable, msgspec.DecodeError) as error:
        raise BadModel(f"config.json: {error}") from error


def read_graph(folder: Path) -> bytes:
    """The bytes of model.onnx, whose weights lie nowhere but in files beside it. Raises BadModel."""
    path = folder / "model.onnx"
    model = read_model(path)
    for location in locations(model):
        if "/" in location:
            raise BadModel(f"{path} keeps weights in {location!r}: want the name of a file in the same folder")
    data: bytes = model.SerializeToString()
    return data
