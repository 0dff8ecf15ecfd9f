"""The safetensors file format, written and read with numpy alone. What is read is untrusted and checked before it is used.

Source: https://github.com/huggingface/safetensors#format: eight bytes with the header's length (little-endian), a JSON header
that gives each tensor's dtype, shape and place, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

HEADER_LIMIT = 8 << 20
"""Bytes of JSON that are parsed at most; a model of a thousand tensors needs 0.2 MB."""
PREFIX = 8
"""Bytes before the header, which say its length."""
_METADATA = "__metadata__"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_WIDTHS = {name: np.dtype(code).itemsize for name, code in _DTYPES.items()}


class BadSafetensors(ValueError):
    """Bytes that are no safetensors file, or one that this reader does not take."""


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor in the header. `data_offsets` are its first byte and the one after its last, counted from the header's end."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def blocks(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:  # Any: as in the table above
    """The bytes of a file, one tensor after the other and without copying any; the same tensors always give the same bytes."""
    arrays = dict(sorted(tensors.items()))
    yield header_of({name: (_NAMES[array.dtype], array.shape, array.nbytes) for name, array in arrays.items()}, metadata)
    yield from (np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays.values())


def header_of(tensors: Mapping[str, tuple[str, Sequence[int], int]], metadata: Mapping[str, str]) -> bytes:
    """What stands before the tensors in a file: of each, in their order, dtype, shape and size in bytes."""
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}  # the header's two kinds of value
    at = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = Entry(dtype=dtype, shape=list(shape), data_offsets=(at, at + size))
        at += size
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)  # the format asks for tensors at a multiple of eight
    return len(text).to_bytes(PREFIX, "little") + text


def encode(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:  # Any: as above
    """The bytes of a file, whole."""
    return b"".join(blocks(tensors, metadata))


def decode(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:  # Any: every dtype of the table above
    """The tensors, as read-only views of `data`, and the metadata. Raises BadSafetensors."""
    start = PREFIX + header_size(data[:PREFIX], len(data))
    body = memoryview(data)[start:]
    entries, metadata = layout(data[PREFIX:start], len(body), _WIDTHS)
    views = {name: np.frombuffer(body[slice(*entry.data_offsets)], _DTYPES[entry.dtype]) for name, entry in entries.items()}
    return {name: view.reshape(entries[name].shape) for name, view in views.items()}, metadata


def header_size(prefix: bytes, size: int) -> int:
    """How many bytes the header has behind the first eight, `prefix`, of a file of `size` bytes. Raises BadSafetensors."""
    length = int.from_bytes(prefix, "little")
    if size < PREFIX or length > min(HEADER_LIMIT, size - PREFIX):
        raise BadSafetensors(f"{size} bytes cannot hold a header of {length} bytes (at most {HEADER_LIMIT} are read)")
    return length


def layout(header: bytes, body: int, widths: Mapping[str, int]) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors in the order of their bytes, of which there are `body`, and the metadata, as the header has them.

    `widths` says which dtypes may be there, and how many bytes a number of each takes. Raises BadSafetensors.
    """
    values = _object(header)
    metadata = _convert(values.pop(_METADATA, {}), dict[str, str], "its metadata")
    named = [(name, _convert(value, Entry, f"tensor {name!r}")) for name, value in values.items()]
    entries = dict(sorted(named, key=lambda item: item[1].data_offsets))
    end = 0
    for name, entry in entries.items():
        _check(name, entry, end, body, widths)
        end = entry.data_offsets[1]
    if end != body:
        raise BadSafetensors(f"{body - end} bytes after the last tensor belong to none")
    return entries, metadata


def _object(header: bytes) -> dict[str, Any]:  # Any: JSON values, converted by the caller
    try:
        return msgspec.json.decode(header, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSafetensors(f"the header is no JSON object: {error}") from error


def _convert(value: Any, kind: Any, what: str) -> Any:  # a JSON value, the type that it must have, and an instance of it
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadSafetensors(f"{what}: {error}") from error


def _check(name: str, entry: Entry, start: int, limit: int, widths: Mapping[str, int]) -> None:
    """Refuse a tensor that does not begin where the one before ended, or whose bytes are not those of its dtype and shape."""
    if entry.dtype not in widths:
        raise BadSafetensors(f"tensor {name!r} has dtype {entry.dtype!r}: only {', '.join(widths)} are read")
    if len(entry.shape) > 8 or any(size < 1 for size in entry.shape):
        raise BadSafetensors(f"tensor {name!r} has shape {entry.shape}")
    first, end = entry.data_offsets
    size = math.prod(entry.shape) * widths[entry.dtype]
    if first != start or end > limit or end - first != size:
        raise BadSafetensors(f"tensor {name!r} claims bytes {first} to {end} of {limit}, and needs {size} from {start}")
