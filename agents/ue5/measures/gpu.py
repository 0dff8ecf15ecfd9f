"""What an engine's process takes of NVIDIA graphics cards.

Format: NVML API reference, nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlDeviceGetComputeRunningProcesses_v3 and
nvmlDeviceGetUtilizationRates.
"""

from __future__ import annotations

from typing import Any, Protocol

import pynvml

Handle = Any  # a ctypes pointer of the library, only ever handed back to it


class Unread(RuntimeError):
    """The cards say nothing of this process; the message says why."""


class Nvml(Protocol):
    """The part of the library `pynvml` that is called."""

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle: ...
    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: Handle) -> list[Any]: ...  # Any: the library's own structs
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Handle) -> list[Any]: ...  # as above
    def nvmlDeviceGetUtilizationRates(self, handle: Handle) -> Any: ...  # as above


class Cards:
    """The cards of this machine. Raises Unread where there is no driver to ask."""

    def __init__(self, library: Nvml = pynvml) -> None:
        self._library = library
        try:
            library.nvmlInit()
            self._handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            raise Unread(f"NVML: {error}") from error

    def close(self) -> None:
        """Let go of the driver."""
        self._library.nvmlShutdown()

    def of(self, pid: int) -> tuple[float, int | None]:
        """The busy share (0 to 1) of the card that the process draws on, and its bytes there, None: not told. Raises Unread."""
        try:
            for handle in self._handles:
                if (used := self._used(handle, pid)) is not None:
                    return self._library.nvmlDeviceGetUtilizationRates(handle).gpu / 100, used or None
        except pynvml.NVMLError as error:
            raise Unread(f"NVML: {error}") from error
        raise Unread(f"NVML lists no process {pid} on {len(self._handles)} cards: it draws on none, or runs in another namespace of pids")

    def _used(self, handle: Handle, pid: int) -> int | None:
        """Bytes of the process on this card, 0: not told; None: it is not there."""
        library = self._library
        running = [*library.nvmlDeviceGetGraphicsRunningProcesses(handle), *library.nvmlDeviceGetComputeRunningProcesses(handle)]
        bytes_used = [process.usedGpuMemory or 0 for process in running if process.pid == pid]
        return max(bytes_used) if bytes_used else None
