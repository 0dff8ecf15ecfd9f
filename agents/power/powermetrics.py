"""Watts of Apple's chips: the plists that macOS's `powermetrics` writes, one an interval, each ended by a NUL byte.

Format: powermetrics(1). `elapsed_ns` is the interval; `processor` holds `cpu_power`, `gpu_power` and `ane_power` in milliwatts on Apple
silicon, and `package_watts` on Intel. The tool runs as root only.
"""

from __future__ import annotations

import contextlib
import math
import os
import plistlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from agents.power.energy import Integral
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Unreadable

SOURCE = "powermetrics"
INTERVAL_MS = 1000
"""The tool wakes every core to read it: ten times a second it would measure itself."""
LARGEST = 1 << 20
"""Bytes of one plist; a Mac with 24 cores writes about 50,000."""

SILENT_SECONDS = 5.0
"""Without a plist for so long, the last watts are no reading any more."""

_PROBE_SECONDS = 5.0
_END_SECONDS = 0.4
_WATTS = {"cpu_power": 1e-3, "gpu_power": 1e-3, "ane_power": 1e-3, "package_watts": 1.0}
_NAMES = {"cpu_power": "cpu", "gpu_power": "gpu", "ane_power": "ane", "package_watts": "package"}
_TOOL = ["/usr/bin/powermetrics", "--samplers", "cpu_power,gpu_power", "-f", "plist"]
_MEND = "allow it with `<user> ALL=(root) NOPASSWD: /usr/bin/powermetrics` in `sudo visudo -f /etc/sudoers.d/powermetrics`"


@dataclass(frozen=True, slots=True)
class Interval:
    """What one plist says: watts by domain, as the mean over `seconds`."""

    seconds: float
    watts: dict[str, float]


def parse(document: bytes) -> Interval:
    """One plist. Raises Unreadable for what is none of powermetrics'."""
    try:
        content = plistlib.loads(document.strip(), fmt=plistlib.FMT_XML)
    except (ExpatError, plistlib.InvalidFileException, ValueError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable(f"powermetrics wrote no plist: {error}") from error
    processor = content.get("processor") if isinstance(content, dict) else None
    if not isinstance(processor, dict):
        raise Unreadable("powermetrics wrote a plist without `processor`")
    watts = {_NAMES[key]: _number(processor, key) * scale for key, scale in _WATTS.items() if key in processor}
    if not watts:
        raise Unreadable(f"powermetrics says no power, only {sorted(processor)[:8]}")
    return Interval(_number(content, "elapsed_ns") / 1e9, watts)


def _number(values: dict[str, Any], key: str) -> float:  # Any: whatever a plist can hold
    value = values.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise Unreadable(f"powermetrics: {key} is {value!r}, wanted a number")
    return float(value)


class Stream:
    """A running `command` that writes plists to its output, read without ever waiting for it."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None  # asked for above
        self._output = self._process.stdout
        self._rest = b""
        os.set_blocking(self._output.fileno(), False)

    def intervals(self) -> Iterator[Interval]:
        """What was written since the last call. Raises Unreadable when the command has ended or writes something else."""
        for _ in range(LARGEST // 65536):
            try:
                chunk = os.read(self._output.fileno(), 65536)
            except BlockingIOError:
                return
            if not chunk:
                raise Unreadable(f"powermetrics ended with exit status {self._process.poll()}: restart this agent to try again")
            *documents, self._rest = (self._rest + chunk).split(b"\0")
            if self._rest.rstrip().endswith(b"</plist>"):  # whole, although its NUL may come with the next one only
                documents, self._rest = [*documents, self._rest], b""
            yield from (parse(document) for document in documents if document.strip())
            if len(self._rest) > LARGEST:
                self._rest = b""
                raise Unreadable(f"powermetrics wrote more than {LARGEST} bytes without an end")

    def close(self) -> None:
        """End the command: SIGTERM, a closed pipe (root's process ignores our signals, not that), then SIGKILL."""
        for end in (self._process.terminate, self._process.kill):
            with contextlib.suppress(PermissionError):
                end()
            self._output.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
                return


def find() -> Sensor:
    """The domains that powermetrics knows here, if this user may run it without a password. Takes seconds; macOS only."""
    if sys.platform != "darwin":
        return Sensor(SOURCE, missing="macOS only")
    tool = _TOOL if os.geteuid() == 0 else ["/usr/bin/sudo", "-n", *_TOOL]
    try:
        first = parse(_probe([*tool, "-n", "1", "-i", "100"]))
    except Unreadable as error:
        return Sensor(SOURCE, missing=str(error))
    return listen(Stream([*tool, "-i", str(INTERVAL_MS)]), list(first.watts))


def listen(stream: Stream, names: list[str]) -> Sensor:
    """A sensor of the domains `names` over a running stream, which its `close` ends."""
    integrals = {name: Integral() for name in names}
    refresh = _refresher(stream, integrals)
    return Sensor(SOURCE, [Domain(SOURCE, name, Scope.COMPONENT, integrals[name], refresh) for name in names], close=stream.close)


def _refresher(stream: Stream, integrals: dict[str, Integral]) -> Callable[[float], None]:
    """Domains share one stream: the first that is refreshed reads for all, and its failure is that of all."""
    failure: Unreadable | None = None
    heard: float | None = None

    def refresh(now: float) -> None:
        nonlocal failure, heard
        if failure is not None:
            raise failure
        try:
            for interval in stream.intervals():
                heard = now
                _take(interval, integrals)
        except Unreadable as error:
            failure = error
            raise
        heard = now if heard is None else heard
        if now - heard > SILENT_SECONDS:
            raise Unreadable(f"powermetrics wrote nothing for {SILENT_SECONDS:g} s")

    return refresh


def _take(interval: Interval, integrals: dict[str, Integral]) -> None:
    for name, watts in interval.watts.items():
        if name in integrals:
            integrals[name].add(watts, watts * interval.seconds)


def _probe(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        said = done.stderr[:200].decode("utf-8", "replace").strip()
        raise Unreadable(f"powermetrics needs root ({said or f'exit status {done.returncode}'}): {_MEND}")
    return done.stdout[:LARGEST]
