"""Power and energy channels of board sensors and graphics cards: Linux's hwmon sysfs.

Format: Documentation/hwmon/sysfs-interface.rst of Linux: `energyN_input` in microjoules, `powerN_average` and `powerN_input` in microwatts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agents.power.energy import Counter, Integral
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Unreadable, names, read_number, read_text

SOURCE = "hwmon"
MICRO = 1e-6

_CHANNEL = re.compile(r"(energy|power)([0-9]{1,3})_(input|average)")
_RANK = ("power_input", "power_average", "energy_input")
"""A channel number may have all three: the last of these says most about its energy."""
_GRAPHICS = ("amdgpu", "i915", "xe")
_ACPI_METER = "power_meter"


def find(sysfs: Path) -> Sensor:
    """Every channel that measures power or energy."""
    root = sysfs / "class" / "hwmon"
    supplies = _supplies(sysfs)
    try:
        chips = [root / name for name in names(root)]
    except Unreadable as error:
        return Sensor(SOURCE, missing=str(error))
    domains = [domain for chip in chips for domain in _chip(chip, supplies)]
    return Sensor(SOURCE, domains, missing=None if domains else f"{root}: no chip of {len(chips)} measures power or energy")


def _supplies(sysfs: Path) -> set[str]:
    """Batteries show up as chips too, under their name with `-` replaced: they are read as batteries."""
    try:
        return {name.replace("-", "_") for name in names(sysfs / "class" / "power_supply")}
    except Unreadable:
        return set()


def _chip(folder: Path, supplies: set[str]) -> Iterator[Domain]:
    try:
        name, files = read_text(folder / "name"), names(folder)
    except Unreadable:
        return  # a chip without a name is none: sysfs-interface.rst makes it mandatory
    if name in supplies:
        return
    scopes = _scopes(name, "in1_input" in files)
    for channel, attribute in sorted(_channels(files).values()):
        label = _label(folder / f"{channel}_label") or channel
        yield _domain(f"{folder.name}:{name}/{label}", next(scopes), folder / attribute)


def _channels(files: list[str]) -> dict[str, tuple[str, str]]:
    """The best attribute of each channel number, as (channel, file)."""
    found: dict[str, tuple[int, str, str]] = {}
    for file in files:
        match = _CHANNEL.fullmatch(file)
        if match and (kind := f"{match[1]}_{match[3]}") in _RANK:
            entry = (_RANK.index(kind), match[1] + match[2], file)
            found[match[2]] = max(found.get(match[2], entry), entry)
    return {number: (channel, file) for number, (_, channel, file) in found.items()}


def _scopes(chip: str, has_northbridge: bool) -> Iterator[Scope]:
    """The scope of each channel of a chip, in order.

    i915 and xe register hwmon for cards of their own only; amdgpu also for graphics inside the CPU's package, and only these have a
    second voltage, the northbridge's (`hwmon_attributes_visible` in amdgpu_pm.c). A card's first channel contains its others.
    """
    if chip in _GRAPHICS:
        yield Scope.INSIDE if chip == "amdgpu" and has_northbridge else Scope.COMPONENT
        while True:
            yield Scope.INSIDE
    while True:
        yield Scope.MACHINE if chip == _ACPI_METER else Scope.RAIL


def _label(path: Path) -> str | None:
    try:
        return read_text(path)
    except Unreadable:
        return None  # labels are optional


def _domain(name: str, scope: Scope, path: Path) -> Domain:
    if path.name.startswith("energy"):
        counter = Counter(MICRO)
        return Domain(SOURCE, name, scope, counter, lambda now: counter.advance(read_number(path), now))
    integral = Integral()
    return Domain(SOURCE, name, scope, integral, lambda now: integral.advance(read_number(path) * MICRO, now))
