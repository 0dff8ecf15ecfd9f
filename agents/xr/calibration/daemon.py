"""Work off the event loop that no exit waits for.

OpenCV cannot be told to stop, and a camera comes out of two hundred views after minutes: with `asyncio.to_thread` the process would stay as
long.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_daemon(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises, done by a thread of its own. Who is cancelled meanwhile leaves the thread to itself."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from now on nobody can cancel it, and it takes what comes out

    def run() -> None:
        try:
            outcome.set_result(work(*args, **kwargs))
        except Exception as error:  # whatever it is, it is raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="calibration", daemon=True).start()
    return await asyncio.wrap_future(outcome)
