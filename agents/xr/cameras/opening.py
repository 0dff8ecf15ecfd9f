"""Opens a camera without holding up an event loop."""

from __future__ import annotations

import asyncio

from agents.xr.cameras.capture import Capture


async def opened(device: int) -> Capture:
    """The camera, once it gives pictures. Raises CameraError. Who stops waiting for it leaves none open."""
    capture = Capture(device)
    try:
        await asyncio.to_thread(capture.start)
    except BaseException:
        capture.close(0)
        raise
    return capture
