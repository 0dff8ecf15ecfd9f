"""Gives tinygrad a C compiler for its CPU device, opens the device, and names the real cause where that fails."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

HOW_TO_MEND = "install clang, or run ./dev setup, which installs ziglang where there is none"

_WRAPPER = """#!/bin/sh
# Zig's clang behind the arguments that tinygrad 0.14.0 gives to clang: Zig has other names for a bare-metal target.
for argument do
  shift
  case "$argument" in
    --target=arm64-none-unknown-elf) argument=--target=aarch64-freestanding-none ;;
    --target=*-none-unknown-elf) argument="${{argument%-none-unknown-elf}}-freestanding-none" ;;
  esac
  set -- "$@" "$argument"
done
exec {zig} cc "$@" -fno-sanitize=undefined -g0
"""


class NoDevice(RuntimeError):
    """tinygrad can use no device of this machine; the message says why and what to do."""


def choose_compiler(environ: MutableMapping[str, str] = os.environ) -> str | None:
    """Let CC name a compiler that tinygrad's CPU device can use, and return it; None where there is none.

    A CC that is a clang stays, a clang on the PATH needs none; another CC (conda sets gcc) cannot do it. Call it before
    tinygrad opens its device.
    """
    for named in (environ.get("CC"), shutil.which("clang", path=environ.get("PATH"))):
        if named and _is_clang(named):
            environ["CC"] = named
            return named
    if not (zig := _zig()):
        return None
    environ["CC"] = str(_write_wrapper(zig, cache_folder(environ)))
    return environ["CC"]


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where compiled things may be kept for another process."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def open_device() -> str:
    """tinygrad's name of the best device here, opened. Raises NoDevice."""
    compiler = choose_compiler()
    from tinygrad.device import Device  # after CC is set; and who only asks for the status need not wait for this import

    try:
        return str(Device[Device.DEFAULT].device)
    except Exception as error:  # whatever a driver raises: tinygrad drops the cause and says "no usable devices"
        raise NoDevice(_cause(compiler) or f"tinygrad: {type(error).__name__}: {error}") from error


def _is_clang(compiler: str) -> bool:
    try:
        said = subprocess.run([compiler, "--version"], capture_output=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"clang" in said


def _zig() -> Path | None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    zig = Path(spec.origin).parent / "zig"
    return zig if zig.is_file() else None


def _write_wrapper(zig: Path, cache: Path) -> Path:
    """Put the wrapper into the cache, whole or not at all: another process may be running it."""
    cache.mkdir(parents=True, exist_ok=True)
    wrapper = cache / "tinygrad-zig-cc"
    with tempfile.NamedTemporaryFile("w", dir=cache, prefix=".tinygrad-zig-cc-", delete=False) as file:
        file.write(_WRAPPER.format(zig=shlex.quote(str(zig))))
    Path(file.name).chmod(0o755)
    Path(file.name).replace(wrapper)
    return wrapper


def _cause(compiler: str | None) -> str | None:
    """Why the CPU device does not open, as far as it can be found out."""
    if compiler is None:
        return f"no C compiler for tinygrad's CPU device: {HOW_TO_MEND}"
    return _compiler_fault(compiler) or _cache_fault()


def _compiler_fault(compiler: str) -> str | None:
    command = [compiler, "-c", "-x", "c", "-ffreestanding", "-", "-o", "-"]
    try:
        tried = subprocess.run(command, input=b"int one(void) { return 1; }", capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the C compiler {compiler} does not run ({error}): {HOW_TO_MEND}"
    if tried.returncode:
        said = tried.stderr.decode(errors="replace").strip()[-500:]
        return f"the C compiler {compiler} failed with exit code {tried.returncode} ({said}): {HOW_TO_MEND}"
    return None


def _cache_fault() -> str | None:
    from tinygrad.helpers import CACHEDB

    folder = Path(CACHEDB).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"tinygrad's cache {CACHEDB} cannot be written ({error}): set CACHEDB to a file in a folder that can"
