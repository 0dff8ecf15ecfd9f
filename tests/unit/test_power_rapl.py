"""RAPL's powercap tree: which zones, what cannot be read, and what must not be counted twice."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.power import rapl
from agents.power.sensor import Domain, Scope, Sensor

TREES = Path(__file__).parents[1] / "fixtures" / "sysfs"
NOBODY = 65534


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return shutil.copytree(TREES / "laptop", tmp_path / "sys", symlinks=True)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)


def zone(sysfs: Path, name: str) -> Path:
    return sysfs / "class" / "powercap" / name


def read(sensor: Sensor, now: float = 0.0) -> dict[str, Domain]:
    for domain in sensor.domains:
        domain.read(now)
    return {domain.name: domain for domain in sensor.domains}


def test_every_package_and_memory_is_a_component_of_its_own(server: Path) -> None:
    domains = read(rapl.find(server))
    assert list(domains) == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert {domain.scope for domain in domains.values()} == {Scope.COMPONENT}


def test_cores_lie_inside_their_package_and_psys_around_it(laptop: Path) -> None:
    scopes = {name: domain.scope for name, domain in read(rapl.find(laptop)).items()}
    assert scopes == {
        "package-0": Scope.COMPONENT,
        "package-0/core": Scope.INSIDE,
        "package-0/uncore": Scope.INSIDE,
        "package-0/dram": Scope.COMPONENT,
        "psys": Scope.PLATFORM,
    }


def test_the_memory_mapped_twin_is_read_where_the_registers_cannot_be(laptop: Path) -> None:
    (zone(laptop, "intel-rapl:0") / "energy_uj").unlink()
    (zone(laptop, "intel-rapl-mmio:0") / "energy_uj").write_text("7000000\n")
    sensor = rapl.find(laptop)
    read(sensor, 0.0)
    (zone(laptop, "intel-rapl-mmio:0") / "energy_uj").write_text("9000000\n")
    assert read(sensor, 1.0)["package-0"].gauge.watts == pytest.approx(2)


def test_zones_without_the_flat_links_are_found_inside_their_parents(laptop: Path) -> None:
    for link in (laptop / "class" / "powercap").iterdir():
        if link.name.count(":") == 2:
            link.unlink()
    assert len(read(rapl.find(laptop))) == 5


def test_two_dies_that_share_a_name_are_both_kept(server: Path) -> None:
    (zone(server, "intel-rapl:1") / "name").write_text("package-0\n")
    assert [domain.name for domain in rapl.find(server).domains] == [
        "package-0", "package-0/dram", "package-0@intel-rapl:1", "package-0@intel-rapl:1/dram",
    ]  # fmt: skip


def test_a_wrap_continues_at_the_range_of_its_own_zone(server: Path) -> None:
    sensor = rapl.find(server)
    read(sensor, 0.0)
    (zone(server, "intel-rapl:1") / "energy_uj").write_text("671150\n")
    package = read(sensor, 0.5)["package-1"]
    assert (package.gauge.joules, package.gauge.watts) == (pytest.approx(1.0), pytest.approx(2.0))


def test_no_powercap_is_a_reason_that_names_the_folder(tmp_path: Path) -> None:
    sensor = rapl.find(tmp_path)
    assert not sensor.available
    assert sensor.reason is not None
    assert str(tmp_path / "class/powercap") in sensor.reason


@contextmanager
def unprivileged() -> Iterator[None]:
    """Read as nobody: for root, modes of files do not count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_counter_for_root_only_names_its_file_and_the_mend() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies in a folder that nobody may not enter
        Path(folder).chmod(0o755)
        sysfs = shutil.copytree(TREES / "server", Path(folder) / "sys", symlinks=True)
        (zone(sysfs, "intel-rapl:0") / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
        sensor = rapl.find(sysfs)
        with unprivileged():
            domains = read(sensor)
    reason = domains["package-0"].reason or ""
    assert "intel-rapl:0/energy_uj: permission denied" in reason
    assert f"sudo chmod a+r {sysfs}/class/powercap/intel-rapl*/energy_uj" in reason
    assert domains["package-1"].readable


def test_a_package_that_vanishes_stops_no_other_and_comes_back(server: Path) -> None:
    sensor = rapl.find(server)
    read(sensor, 0.0)
    folder = zone(server, "intel-rapl:0").resolve()
    folder.rename(folder.with_name("away"))
    domains = read(sensor, 1.0)
    assert "energy_uj: no such file or directory" in (domains["package-0"].reason or "")
    assert domains["package-0"].energy().watts is None
    assert domains["package-1"].readable
    folder.with_name("away").rename(folder)
    assert read(sensor, 2.0)["package-0"].readable


@pytest.mark.parametrize("content", [b"", b"\n", b"12 34\n", b"0x10\n", b"\xff\xfe\n", b"nan\n", b"1" * 5_000_000])
def test_what_is_no_number_is_named_and_never_becomes_one(server: Path, content: bytes) -> None:
    file = zone(server, "intel-rapl:0") / "energy_uj"
    file.write_bytes(content)
    package = read(rapl.find(server))["package-0"]
    assert (package.reason or "").startswith(f"{file}: wanted ")
    assert len(package.reason or "") < 500
    assert package.gauge.joules is None


def test_an_endless_file_is_read_in_part_only(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zone(server, "intel-rapl:0") / "energy_uj"
    file.unlink()
    file.symlink_to("/dev/zero")
    asked: list[int] = []
    truly_read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: (asked.append(size), truly_read(descriptor, size))[1])
    assert not read(rapl.find(server))["package-0"].readable
    assert max(asked) <= 65


def test_a_named_pipe_does_not_stop_the_agent(server: Path) -> None:
    file = zone(server, "intel-rapl:0") / "energy_uj"
    file.unlink()
    os.mkfifo(file)
    assert not read(rapl.find(server))["package-0"].readable


def test_a_link_to_itself_is_a_reason(server: Path) -> None:
    link = zone(server, "intel-rapl:7")
    link.symlink_to(link.name)
    assert read(rapl.find(server))["package-1"].readable
