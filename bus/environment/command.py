"""Runs venv or pip to the end, yielding what it says; whoever stops reading ends it, with all that it started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bus.environment.errors import EnvironmentFailed

TIED = Path(__file__).with_name("tied.py")
POLL = 0.2
SILENCE, OVERALL = 1800.0, 7200.0
"""Seconds without a word, and in all, after which a command is given up. pip says nothing while it downloads one file, and gives up
by itself where a connection falls silent."""
EXIT_PATIENCE = 30.0
_LINE = 4096
_KEPT = 40
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # of another environment, whose packages a build would see


def run(python: Path, module: str, arguments: Sequence[str], scratch: Path) -> Iterator[str]:
    """Run `python -m module` with `arguments`, temporary files in `scratch`. Yields its lines, and an empty one every POLL seconds.

    Raises EnvironmentFailed with its reason where it fails.
    """
    command = [str(python), "-I", str(TIED), module, *arguments]
    child = subprocess.Popen(
        command, env=_environment(scratch), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield from _watched(child, module)
    finally:
        _end(child)


def why(lines: Sequence[str]) -> str:
    """The reason in the last lines of pip, which says it in the last that begins with ERROR, but for an address of its manual. Pure."""
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ") and "ResolutionImpossible" not in line]
    reason = (errors or list(lines) or ["it said nothing"])[-1][:300]
    if "No matching distribution" not in reason:
        return reason
    if any("WARNING: Retrying" in line for line in lines):
        return f"{reason}, for no package index answers: is there a network? (pip config list says which index; HTTPS_PROXY names a proxy)"
    return f"{reason}: no such version, or no wheel of it for this Python and machine, and only what the lock names is built from source"


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let nothing of it go on; one that even so does not end is waited for no longer than EXIT_PATIENCE."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(EXIT_PATIENCE)


def _environment(scratch: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**kept, "TMPDIR": str(scratch)}


def _watched(child: subprocess.Popen[bytes], what: str) -> Iterator[str]:
    last: deque[str] = deque(maxlen=_KEPT)
    begun = heard = time.monotonic()
    for line in _lines(child):
        now = time.monotonic()
        if line:
            last.append(line)
            heard = now
        if now - heard > SILENCE or now - begun > OVERALL:
            raise EnvironmentFailed(f"{what} was given up after {now - begun:.0f} s, having said nothing for {now - heard:.0f} s")
        yield line
    try:
        code = child.wait(EXIT_PATIENCE)
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(f"{what} said its last, and had not ended {EXIT_PATIENCE:.0f} s later") from None
    if code:
        raise EnvironmentFailed(why(last) if last else f"{what} ended with exit code {code}, and said nothing")


def _lines(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """Each line as it comes, without its end, and an empty one where for POLL seconds there was none."""
    assert child.stdout is not None
    descriptor, rest = child.stdout.fileno(), b""
    while True:
        if not select.select([descriptor], [], [], POLL)[0]:
            yield ""
            continue
        data = os.read(descriptor, 65536)
        *whole, rest = (rest + data).split(b"\n")
        yield from (line[:_LINE].decode(errors="replace").rstrip() for line in whole)
        if not data:
            yield rest[:_LINE].decode(errors="replace").rstrip()
            return
        rest = rest[:_LINE]
