"""Energy counters of CPU packages and their memory: RAPL through Linux's powercap sysfs, on Intel and AMD.

Format: Documentation/power/powercap/powercap.rst and Documentation/ABI/testing/sysfs-class-powercap of Linux. A zone is a folder with
`name`, `energy_uj` in microjoules and `max_energy_range_uj`, after which the counter starts again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.power.energy import Counter
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Forbidden, Unreadable, names, read_number, read_text

SOURCE = "rapl"
MICROJOULE = 1e-6

REGISTERS = "intel-rapl"
"""The control type that is read first; its memory-mapped twin, intel-rapl-mmio, shows the same counters."""

_ZONE = re.compile(r"(intel-rapl(?:-mmio)?):([0-9]{1,4})(?::([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Zone:
    """One folder of powercap. `parent` is the name of the folder of a subzone's package."""

    folder: Path
    control: str
    parent: str | None

    @property
    def identity(self) -> str:
        return self.folder.name


def find(sysfs: Path) -> Sensor:
    """Every zone of powercap as a domain, each counter once."""
    root = sysfs / "class" / "powercap"
    try:
        domains = _domains(list(_zones(root)), root)
    except Unreadable as error:
        return Sensor(SOURCE, missing=f"{error}: this kernel or virtual machine offers no powercap")
    return Sensor(SOURCE, domains, missing=None if domains else f"{root}: no intel-rapl zone")


def _zones(root: Path) -> Iterator[Zone]:
    """Zones by name, registers first. sysfs lists subzones beside their parents, a copied tree may hold them only inside."""
    folders = {name: root / name for name in names(root)}
    for name, folder in list(folders.items()):
        if _ZONE.fullmatch(name) and folder.is_dir():
            folders.update({child: folder / child for child in names(folder) if child not in folders})
    for name in sorted(folders):
        match = _ZONE.fullmatch(name)
        if match:
            control, number, sub = match.groups()
            yield Zone(folders[name], control, None if sub is None else f"{control}:{number}")


def _domains(zones: list[Zone], root: Path) -> list[Domain]:
    domains: dict[str, Domain] = {}
    labels: dict[str, str] = {}
    for zone in sorted(zones, key=lambda zone: (zone.control, zone.identity)):
        label = _label(zone, labels)
        if zone.control == REGISTERS and label in domains:  # two dies of one package had the same name before Linux 5.3
            label = f"{label}@{zone.identity}"
        labels[zone.identity] = label
        found = _domain(zone, label, root)
        if label not in domains or (not _readable(domains[label]) and _readable(found)):
            domains[label] = found
    return list(domains.values())


def _label(zone: Zone, labels: dict[str, str]) -> str:
    try:
        name = read_text(zone.folder / "name")
    except Unreadable:
        name = zone.identity  # then its counter is most likely unreadable as well, and says so
    return name if zone.parent is None else f"{labels.get(zone.parent, zone.parent)}/{name}"


def _scope(zone: Zone, label: str) -> Scope:
    if zone.parent is not None:
        return Scope.COMPONENT if label.endswith("/dram") else Scope.INSIDE
    if label == "psys":
        return Scope.PLATFORM
    return Scope.COMPONENT if label.startswith("package") else Scope.RAIL


def _domain(zone: Zone, label: str, root: Path) -> Domain:
    counter = Counter(MICROJOULE, _wraps_at(zone))

    def refresh(now: float) -> None:
        try:
            counter.advance(read_number(zone.folder / "energy_uj"), now)
        except Forbidden as error:
            mend = f"sudo chmod a+r {root}/intel-rapl*/energy_uj"
            raise Unreadable(f"{error}: root only since Linux 5.10; allow it with `{mend}`, or for good as docs/power.md says") from error

    return Domain(SOURCE, label, _scope(zone, label), counter, refresh)


def _wraps_at(zone: Zone) -> int:
    try:
        return read_number(zone.folder / "max_energy_range_uj")
    except Unreadable:
        return 0  # a wrap then looks like a reset: that interval has no watts


def _readable(domain: Domain) -> bool:
    try:
        domain.refresh(0.0)
    except Unreadable:
        return False
    domain.gauge.lose()
    return True
