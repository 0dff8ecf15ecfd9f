"""Why a calibration comes to nothing."""

from __future__ import annotations


class BadViews(ValueError):
    """No camera comes out of these views: the `reason`, with figures, and the `mend`, what to do."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}: {mend}")
        self.reason = reason
        self.mend = mend
