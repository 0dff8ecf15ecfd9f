"""What a camera's picture is made of, wherever it comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""[height, width, 3], blue, green, red, the first row on top: as OpenCV has it. A layer has alpha as a fourth."""
