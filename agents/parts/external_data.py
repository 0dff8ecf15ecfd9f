"""Where the weights of an ONNX file lie: in files beside it, which it names. What is read is untrusted and bounded.

Source: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, StringStringEntryProto, TensorProto

from agents.parts.bounded import Unreadable, read_bounded

_NAME = re.compile(r"[\w-][\w.-]*")
"""Of a file or folder: nothing that leads elsewhere, nor what onnxruntime takes for an address in memory, `*/_ORT_MEM_ADDR_/*`."""
LIMIT = 64 << 20
"""Bytes of an ONNX file that are parsed at most: its weights are not in it."""


class BadModel(ValueError):
    """A file that is no ONNX model, or one whose weights lie where they must not; the message says which."""


def read_model(path: Path) -> ModelProto:
    """The graph of an ONNX file, without its weights. Raises BadModel."""
    try:
        model: ModelProto = ModelProto.FromString(read_bounded(path, LIMIT))
    except Unreadable as error:
        raise BadModel(str(error)) from error
    except DecodeError as error:
        raise BadModel(f"{path.name} is no ONNX model: {error}") from error
    return model


def locations(model: ModelProto) -> set[str]:
    """The files that hold weights, relative to that of the model. Raises BadModel for one that leads elsewhere."""
    return {entry.value for entry in _places(model)}


def move(model: ModelProto, folder: str) -> None:
    """Let the model look for its weights in `folder`, relative to its file, where it looked beside it. Raises BadModel."""
    for entry in list(_places(model)):
        entry.value = f"{folder}/{entry.value}"


def _places(model: ModelProto) -> Iterator[StringStringEntryProto]:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            found = [entry for entry in tensor.external_data if entry.key == "location"]
            if len(found) != 1 or not _is_below(found[0].value):
                raise BadModel(f"the weights {tensor.name!r} lie in {[entry.value for entry in found]}: want one file beside the model's")
            yield found[0]


def _is_below(location: str | bytes) -> bool:  # protobuf gives bytes for what is no UTF-8
    return isinstance(location, str) and all(_NAME.fullmatch(part) for part in location.split("/"))


def _tensors(message: Message) -> Iterator[TensorProto]:
    """Every tensor, wherever in the message it is: of a graph, of a node, of a graph in a node."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in value if field.is_repeated else (value,):
            if isinstance(each, TensorProto):
                yield each
            else:
                yield from _tensors(each)
