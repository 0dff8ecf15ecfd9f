"""The arrays of a glTF file (glTF 2.0 specification, section 3.6.2), once their extents are checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_document import Accessor, BufferView, Sparse
from agents.engine.scenes.gltf_file import Gltf

Floats = NDArray[np.float32]
Numbers = NDArray[Any]  # Any: every component type below

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_ROWS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 2, "MAT3": 3, "MAT4": 4}
_COLUMNS = {"MAT2": 2, "MAT3": 3, "MAT4": 4}


def check_view(gltf: Gltf, number: int) -> None:
    """Raises BadScene where a view is not within its buffer."""
    view, where = gltf.document.buffer_views[number], f"/bufferViews/{number}"
    if view.buffer >= len(gltf.buffers):
        raise BadScene(f"{where}/buffer", f"there is no buffer {view.buffer}")
    length = gltf.document.buffers[view.buffer].byte_length
    if view.byte_offset + view.byte_length > length:
        raise BadScene(where, f"bytes {view.byte_offset} to {view.byte_offset + view.byte_length} of a buffer of {length}")


def check_accessor(gltf: Gltf, number: int) -> None:
    """Raises BadScene where an accessor is not within its view, or out of step with it. Views are checked."""
    accessor, where = gltf.document.accessors[number], f"/accessors/{number}"
    if accessor.buffer_view is not None:
        view = view_of(gltf, accessor.buffer_view, f"{where}/bufferView")
        _fits(view, accessor.byte_offset, accessor.count, _size(accessor), _width(accessor.component_type), where)
    if accessor.sparse is not None:
        _check_sparse(gltf, accessor, accessor.sparse, f"{where}/sparse")


def view_of(gltf: Gltf, index: int, where: str) -> BufferView:
    """Raises BadScene where there is none."""
    if index >= len(gltf.document.buffer_views):
        raise BadScene(where, f"there is no bufferView {index}")
    return gltf.document.buffer_views[index]


def view_bytes(gltf: Gltf, index: int) -> memoryview:
    """What a checked view shows."""
    view = gltf.document.buffer_views[index]
    return memoryview(gltf.buffers[view.buffer])[view.byte_offset : view.byte_offset + view.byte_length]


def numbers(gltf: Gltf, index: int) -> Numbers:
    """A checked accessor of scalars or vectors, [count, components], as its bytes have it."""
    accessor = gltf.document.accessors[index]
    components = _ROWS[accessor.type]
    if accessor.buffer_view is None:
        values: Numbers = np.zeros((accessor.count, components), _DTYPES[accessor.component_type])
    else:
        values = _array(gltf, accessor.buffer_view, accessor.byte_offset, accessor.count, components, accessor.component_type)
    if accessor.sparse is not None:
        values = values.copy()
        values[_places(gltf, accessor.sparse)] = _replacements(gltf, accessor.sparse, accessor)
    return values


def floats(gltf: Gltf, index: int) -> Floats:
    """The same as floats, the normalised ones from their integers (section 3.11)."""
    values = numbers(gltf, index)
    if not gltf.document.accessors[index].normalized or values.dtype.kind == "f":
        return values.astype(np.float32)
    return np.maximum(values.astype(np.float32) / np.iinfo(values.dtype).max, -1.0)


def _check_sparse(gltf: Gltf, accessor: Accessor, sparse: Sparse, where: str) -> None:
    width = _width(sparse.indices.component_type)
    indices = view_of(gltf, sparse.indices.buffer_view, f"{where}/indices/bufferView")
    values = view_of(gltf, sparse.values.buffer_view, f"{where}/values/bufferView")
    _fits(indices, sparse.indices.byte_offset, sparse.count, width, width, f"{where}/indices")
    _fits(values, sparse.values.byte_offset, sparse.count, _size(accessor), _width(accessor.component_type), f"{where}/values")
    if indices.byte_stride or values.byte_stride:
        raise BadScene(where, "its views have a byteStride, which only vertices may have")
    places = _places(gltf, sparse).astype(np.int64)
    if places[-1] >= accessor.count or (np.diff(places) <= 0).any():
        raise BadScene(f"{where}/indices", f"its indices do not rise, each once, within the accessor's {accessor.count} elements")


def _fits(view: BufferView, offset: int, count: int, size: int, width: int, where: str) -> None:
    """Refuse elements of `size` bytes, made of numbers of `width`, that are not in the view, overlap, or lie across its step."""
    stride = view.byte_stride or size
    end = offset + stride * (count - 1) + size
    if stride < size or end > view.byte_length:
        raise BadScene(where, f"{count} elements of {size} bytes, {stride} apart from byte {offset}, are not in {view.byte_length} bytes")
    if offset % width or (view.byte_offset + offset) % width or stride % width:
        raise BadScene(where, f"its numbers of {width} bytes do not begin at multiples of {width} bytes")


def _places(gltf: Gltf, sparse: Sparse) -> Numbers:
    at = sparse.indices
    return _array(gltf, at.buffer_view, at.byte_offset, sparse.count, 1, at.component_type)[:, 0]


def _replacements(gltf: Gltf, sparse: Sparse, accessor: Accessor) -> Numbers:
    at = sparse.values
    return _array(gltf, at.buffer_view, at.byte_offset, sparse.count, _ROWS[accessor.type], accessor.component_type)


def _array(gltf: Gltf, view: int, offset: int, count: int, components: int, component: int) -> Numbers:
    """Rows of numbers out of a view, without a copy."""
    dtype = np.dtype(_DTYPES[component])
    stride = gltf.document.buffer_views[view].byte_stride or components * dtype.itemsize
    return np.ndarray((count, components), dtype, view_bytes(gltf, view), offset, (stride, dtype.itemsize))


def _width(component: int) -> int:
    return np.dtype(_DTYPES[component]).itemsize


def _size(accessor: Accessor) -> int:
    """Bytes of an element; a matrix's columns begin at multiples of four."""
    column = _ROWS[accessor.type] * _width(accessor.component_type)
    columns = _COLUMNS.get(accessor.type)
    return column if columns is None else columns * math.ceil(column / 4) * 4
