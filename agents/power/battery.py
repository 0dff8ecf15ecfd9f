"""What the machine draws while a battery feeds it: Linux's power_supply sysfs.

Format: Documentation/ABI/testing/sysfs-class-power of Linux: `power_now` in microwatts, or `current_now` in microamperes (negative while it
discharges, with some drivers) times `voltage_now` in microvolts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agents.power.energy import Integral
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Idle, Unreadable, names, read_number, read_text

SOURCE = "battery"


def find(sysfs: Path) -> Sensor:
    """Every battery that feeds the machine; those of a mouse or a headset (`scope` Device) do not."""
    root = sysfs / "class" / "power_supply"
    try:
        domains = [_domain(root / name) for name in names(root) if _feeds_machine(root / name)]
    except Unreadable as error:
        macos = ": on macOS psutil knows the charge of a battery, not its watts" if sys.platform == "darwin" else ""
        return Sensor(SOURCE, missing=f"{error}{macos}")
    return Sensor(SOURCE, domains, missing=None if domains else f"{root}: no battery")


def discharge(folder: Path) -> float:
    """The watts that a battery gives. Raises Idle while it gives none, Unreadable."""
    status = read_text(folder / "status")
    if status != "Discharging":
        raise Idle(f"{folder}: status is {status}: a battery shows what the machine draws only while it discharges")
    if (folder / "power_now").exists():
        return abs(read_number(folder / "power_now")) * 1e-6
    return abs(read_number(folder / "current_now") * read_number(folder / "voltage_now")) * 1e-12


def _feeds_machine(folder: Path) -> bool:
    return _attribute(folder / "type", "Battery") == "Battery" and _attribute(folder / "scope", "System") != "Device"


def _attribute(path: Path, default: str) -> str:
    try:
        return read_text(path)
    except Unreadable:
        return default


def _domain(folder: Path) -> Domain:
    integral = Integral()
    return Domain(SOURCE, folder.name, Scope.BATTERY, integral, lambda now: integral.advance(discharge(folder), now))
