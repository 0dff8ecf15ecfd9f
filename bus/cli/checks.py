"""What `bus doctor` looks at: one function a question, none of which opens a device, starts something or changes anything."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from bus.address import ipc_addresses
from bus.cli.tables import size
from bus.environment.place import AGENTS, ENVIRONMENTS, Place, asked_for
from bus.errors import BusError
from bus.home import CHECKOUT, Home
from bus.honesty import violations
from bus.hub import HubSettings
from bus.lock import is_held
from bus.settings import load

LEAST_FREE = 10 * 1000**3
"""Bytes: the log's default retention of 8 GiB, and some checkpoints."""
_PYTHON = (3, 11)
_RAPL = Path("/sys/class/powercap")


class Check(Struct, frozen=True, kw_only=True):
    """One question and its answer. `missing`: the appliance needs it. `note`: it does without, or it is good to know.

    `mend` is the command that changes it.
    """

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    mend: str | None = None


def all_checks(home: Home, environ: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Every check, needs before sensors."""
    yield python()
    yield writable(home)
    yield disk(home)
    yield sockets(home)
    yield compiler(environ)
    yield from environments()
    yield honesty(environ)
    yield hub(home)
    yield recorder(home)
    yield from addresses(home)
    yield tcp(home)
    yield accelerator()
    yield rapl()
    yield nvml()
    yield terminal(environ)


def python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= _PYTHON:
        return Check(name="python", state="ok", found=found)
    return Check(name="python", state="missing", found=found, mend="PYTHON=/path/to/python3.11 ./dev setup")


def writable(home: Home) -> Check:
    """Whether a run can write: asked of the nearest folder that exists, for nothing is made here."""
    folder = next(each for each in (home.root, *home.root.parents) if each.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Check(name="home", state="ok", found=str(home.root))
    return Check(name="home", state="missing", found=f"{folder} cannot be written", mend="export BUS_HOME=/a/folder/of/yours")


def disk(home: Home) -> Check:
    folder = next(each for each in (home.root, *home.root.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    if free >= LEAST_FREE:
        return Check(name="disk", state="ok", found=f"{size(free)} free")
    found = f"{size(free)} free, and the log alone may take 8.6 GB"
    return Check(name="disk", state="note", found=found, mend="export BUS_HOME=/a/larger/disk")


def sockets(home: Home) -> Check:
    folder = home.sockets()
    if folder == home.run:
        return Check(name="sockets", state="ok", found=str(folder))
    return Check(name="sockets", state="note", found=f"{home.run} is too long a path for sockets: they are in {folder}")


def compiler(environ: Mapping[str, str]) -> Check:
    """tinygrad compiles its kernels for the CPU with clang; Zig's wheel has one."""
    chosen = environ.get("CC") or "clang"
    if found := shutil.which(chosen, path=environ.get("PATH")):
        return Check(name="compiler", state="ok", found=found)
    if importlib.util.find_spec("ziglang"):
        return Check(name="compiler", state="ok", found=f"{sys.executable} -m ziglang")
    return Check(name="compiler", state="missing", found=f"neither {chosen} nor ziglang: nothing can be trained", mend="./dev setup")


def environments(agents: Path = AGENTS, folder: Path = ENVIRONMENTS) -> Iterator[Check]:
    """Those that agents have of their own. Why one could not be made is in the log: `bus tail agent.environment`."""
    for name in asked_for(agents):
        yield _environment(Place(name, agents, folder))


def _environment(place: Place) -> Check:
    name = f".venvs/{place.name}"
    reason = place.missing()
    if reason is None:
        return Check(name=name, state="ok", found=str(place.python))
    if is_held(place.turn):
        return Check(name=name, state="note", found="it is being made")
    found = f"{reason}: the agent's supervisor makes it when it starts"
    return Check(name=name, state="note", found=found, mend=f"./dev environment {place.name}")


def honesty(environ: Mapping[str, str]) -> Check:
    """MOCKS_DISABLED, and whether our own sources keep it. bus.testing is what tests drive agents with, and says so."""
    if environ.get("MOCKS_DISABLED", "1") != "1":
        doubt = f"MOCKS_DISABLED={environ['MOCKS_DISABLED']}: what is published may not be real"
        return Check(name="honesty", state="note", found=doubt, mend="unset MOCKS_DISABLED")
    found = violations([CHECKOUT / "agents", CHECKOUT / "bus", CHECKOUT / "schemas"])
    if found:
        return Check(name="honesty", state="missing", found="; ".join(map(str, found)), mend="take the stand-in out of these files")
    return Check(name="honesty", state="ok", found="MOCKS_DISABLED=1, and nothing in our sources stands in for the real thing")


def hub(home: Home) -> Check:
    return _process(home, "hub", "nothing can be published")


def recorder(home: Home) -> Check:
    return _process(home, "recorder", "nothing is kept, and publishers wait")


def _process(home: Home, name: str, without: str) -> Check:
    if is_held(home.lock(name)):
        return Check(name=name, state="ok", found="running")
    return Check(name=name, state="note", found=f"not running: {without}", mend="./dev up")


def addresses(home: Home) -> Iterator[Check]:
    """The four that another language connects to (docs/wire.md)."""
    found = ipc_addresses(home)
    for name, plane in (("events", found.events), ("latest", found.latest)):
        yield Check(name=f"{name} in", state="ok", found=plane.inlet)
        yield Check(name=f"{name} out", state="ok", found=plane.outlet)


def tcp(home: Home) -> Check:
    try:
        url = load(HubSettings, "hub", home.settings).tcp
    except BusError as error:
        return Check(name="tcp", state="missing", found=str(error), mend=f"edit {home.settings}")
    if url is None:
        return Check(name="tcp", state="ok", found="closed")
    return Check(name="tcp", state="note", found=f"{url} is open: other users of this machine can publish", mend=f"edit {home.settings}")


def accelerator() -> Check:
    """What tinygrad could use, by the device files: opening a device takes seconds."""
    kinds: dict[str, Callable[[], bool]] = {
        "NVIDIA": Path("/dev/nvidia0").exists,
        "AMD": Path("/dev/kfd").exists,
        "Metal": lambda: sys.platform == "darwin",
    }
    if found := [name for name, is_there in kinds.items() if is_there()]:
        return Check(name="accelerator", state="ok", found=", ".join(found))
    return Check(name="accelerator", state="note", found=f"none: tinygrad runs on {os.cpu_count()} CPU cores")


def rapl() -> Check:
    """The CPU's energy counters, which the kernel shows to root alone since CVE-2020-8694."""
    counters = sorted(_RAPL.glob("*/energy_uj"))
    if not counters:
        return Check(name="rapl", state="note", found=f"no energy counters in {_RAPL}: watts of the CPU are null")
    if all(os.access(counter, os.R_OK) for counter in counters):
        return Check(name="rapl", state="ok", found=f"{len(counters)} counters")
    return Check(name="rapl", state="note", found="only root may read the counters", mend=f"sudo chmod a+r {_RAPL}/*/energy_uj")


def nvml() -> Check:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return Check(name="nvml", state="note", found="no NVIDIA driver: watts of a GPU are null")
    return Check(name="nvml", state="ok", found="libnvidia-ml.so.1")


def terminal(environ: Mapping[str, str]) -> Check:
    encoding = sys.stdout.encoding.lower()
    if encoding == "utf-8":
        return Check(name="terminal", state="ok", found=f"utf-8, TERM={environ.get('TERM', '')}")
    return Check(name="terminal", state="note", found=f"{encoding}: other characters are escaped", mend="export LC_ALL=C.UTF-8")
