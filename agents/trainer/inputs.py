"""What changes from one compiled call to the next."""

from __future__ import annotations

from typing import cast

from numpy import generic
from numpy.typing import NDArray
from tinygrad.device import Buffer
from tinygrad.dtype import DType
from tinygrad.tensor import Tensor


class Input:
    """A tensor that keeps its buffer and is filled anew for each call.

    To make a new tensor instead, tinygrad schedules a copy, which takes it a millisecond or more.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self._tensor = Tensor.zeros(*shape, dtype=dtype).contiguous().realize()

    def filled(self, values: NDArray[generic]) -> Tensor:
        """The tensor, holding `values`, which must have its shape and type; a tensor that was given before holds them too."""
        given = Buffer("PYTHON", values.size, self._tensor.dtype, opaque=memoryview(bytearray(values.tobytes())))
        cast(Buffer, self._tensor.uop.base.buffer).copy_from(given)  # one buffer: the tensor lies on one device
        return self._tensor
