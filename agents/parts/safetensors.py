"""The safetensors file format, written and read with numpy alone. What is read is untrusted and checked before it is used.

Source: https://github.com/huggingface/safetensors#format: eight bytes with the header's length (little-endian), a JSON header
that gives each tensor's dtype, shape and place, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

HEADER_LIMIT = 8 << 20
"""Bytes of JSON that are parsed at most; a model of a thousand tensors needs 0.2 MB."""
_PREFIX = 8
_METADATA = "__metadata__"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


class BadSafetensors(ValueError):
    """Bytes that are no safetensors file, or one that this reader does not take."""


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor in the header. `data_offsets` are its first byte and the one after its last, counted from the header's end."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def blocks(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:  # Any: as in the table above
    """The bytes of a file, one tensor after the other and without copying any; the same tensors always give the same bytes."""
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}  # the header's two kinds of value
    arrays, at = [], 0
    for name, array in sorted(tensors.items()):
        header[name] = Entry(dtype=_NAMES[array.dtype], shape=list(array.shape), data_offsets=(at, at + array.nbytes))
        arrays.append(array)
        at += array.nbytes
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)  # the format asks for tensors at a multiple of eight
    yield len(text).to_bytes(_PREFIX, "little") + text
    yield from (np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays)


def encode(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:  # Any: as above
    """The bytes of a file, whole."""
    return b"".join(blocks(tensors, metadata))


def decode(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:  # Any: every dtype of the table above
    """The tensors, as read-only views of `data`, and the metadata. Raises BadSafetensors."""
    header, body = _split(data)
    metadata = _convert(header.pop(_METADATA, {}), dict[str, str], "its metadata")
    entries = {name: _convert(value, Entry, f"tensor {name!r}") for name, value in header.items()}
    tensors, end = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        _check(name, entry, end, len(body))
        end = entry.data_offsets[1]
        tensors[name] = np.frombuffer(body[slice(*entry.data_offsets)], _DTYPES[entry.dtype]).reshape(entry.shape)
    if end != len(body):
        raise BadSafetensors(f"{len(body) - end} bytes after the last tensor belong to none")
    return tensors, metadata


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:  # Any: JSON values, converted by the caller
    length = int.from_bytes(data[:_PREFIX], "little")
    if len(data) < _PREFIX or length > min(HEADER_LIMIT, len(data) - _PREFIX):
        raise BadSafetensors(f"{len(data)} bytes cannot hold a header of {length} bytes (at most {HEADER_LIMIT} are read)")
    try:
        header = msgspec.json.decode(data[_PREFIX : _PREFIX + length], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSafetensors(f"the header is no JSON object: {error}") from error
    return header, memoryview(data)[_PREFIX + length :]


def _convert(value: Any, kind: Any, what: str) -> Any:  # a JSON value, the type that it must have, and an instance of it
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadSafetensors(f"{what}: {error}") from error


def _check(name: str, entry: Entry, start: int, limit: int) -> None:
    """Refuse a tensor that does not begin where the one before ended, or whose bytes are not those of its dtype and shape."""
    if entry.dtype not in _DTYPES:
        raise BadSafetensors(f"tensor {name!r} has dtype {entry.dtype!r}: only {', '.join(_DTYPES)} are read")
    if len(entry.shape) > 8 or any(size < 1 for size in entry.shape):
        raise BadSafetensors(f"tensor {name!r} has shape {entry.shape}")
    first, end = entry.data_offsets
    size = math.prod(entry.shape) * np.dtype(_DTYPES[entry.dtype]).itemsize
    if first != start or end > limit or end - first != size:
        raise BadSafetensors(f"tensor {name!r} claims bytes {first} to {end} of {limit}, and needs {size} from {start}")
