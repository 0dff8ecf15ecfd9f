"""What the machine can do: products of large float32 matrices.

By torch.mm (`torch`, on its device), numpy's `@` (`numpy`, on the CPU), or what the trainer has for its device (`ours`).

`python -m benchmarks.trainers.product LIBRARY SIZE`; a step is one product of two SIZE x SIZE matrices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import SupportsFloat

from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    library, size = sys.argv[1], int(sys.argv[2])
    corner_of_product, device, version = LIBRARIES[library](size)

    def work(steps: int) -> list[float]:
        for _ in range(steps):
            corner = corner_of_product()
        return [float(corner)]  # which waits until a GPU has computed them all

    turns.take(work, device, {library: version})


def torch_product(size: int) -> tuple[Callable[[], SupportsFloat], str, str]:
    import torch  # only one of the two Pythons has it

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = torch.randn(2, size, size, device=device)
    return lambda: torch.mm(a, b)[0, 0], device, torch.__version__


def numpy_product(size: int) -> tuple[Callable[[], SupportsFloat], str, str]:
    import numpy as np  # numpy's threads shall not stand beside torch's

    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    return lambda: (a @ b)[0, 0], "cpu", np.__version__


def our_product(size: int) -> tuple[Callable[[], SupportsFloat], str, str]:
    from importlib.metadata import version

    import numpy as np
    from tinygrad.engine.jit import TinyJit
    from tinygrad.tensor import Tensor

    from agents.parts.compiler import open_device
    from agents.trainer.devices import implementation_for

    device = open_device()
    product = implementation_for(device).operations.product
    a, b = (Tensor(each).realize() for each in np.random.default_rng(0).standard_normal((2, size, size), np.float32))
    corner = TinyJit(lambda *operands: product(*operands)[0, 0].realize())
    return lambda: float(corner(a, b).item()), device, version("tinygrad")


LIBRARIES = {"torch": torch_product, "numpy": numpy_product, "ours": our_product}


if __name__ == "__main__":
    main()
