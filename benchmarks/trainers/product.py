"""What the machine can do: products of large float32 matrices, by torch.mm (`torch`, on its device) or numpy's `@` (`numpy`, on the CPU).

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
    corner_of_product, device, version = (torch_product if library == "torch" else numpy_product)(size)

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


if __name__ == "__main__":
    main()
