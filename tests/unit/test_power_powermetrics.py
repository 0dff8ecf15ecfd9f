"""What powermetrics writes, and the process that writes it."""

from __future__ import annotations

import plistlib
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.power import powermetrics
from agents.power.powermetrics import Stream, listen, parse
from agents.power.sensor import Domain
from agents.power.sysfs import Unreadable


def plist(**processor: float) -> bytes:
    """As macOS 13 and later write it on Apple silicon, shortened."""
    return plistlib.dumps(
        {
            "is_delta": True,
            "elapsed_ns": 1_004_333_000,
            "hw_model": "Mac14,12",
            "processor": {"clusters": [{"name": "E-Cluster", "freq_hz": 1e9}], **processor},
            "gpu": {"freq_hz": 444.0, "idle_ratio": 0.98},
        }
    )


SILICON = plist(cpu_power=2450.5, gpu_power=512.0, ane_power=0.0, combined_power=2962.5, cpu_energy=2461, gpu_energy=514)


def test_milliwatts_become_watts_by_domain_without_the_sum_of_them() -> None:
    interval = parse(SILICON)
    assert interval.seconds == pytest.approx(1.004333)
    assert interval.watts == pytest.approx({"cpu": 2.4505, "gpu": 0.512, "ane": 0.0})


def test_an_intel_mac_has_one_package_in_watts() -> None:
    assert parse(plist(package_watts=8.25)).watts == {"package": 8.25}


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><plist><dict><key>&b;</key><true/></dict></plist>'
)


@pytest.mark.parametrize(
    "document",
    [
        SILICON[:-40], b"", b"Machine model: Mac14,12", b"bplist00\x00", BOMB, plistlib.dumps([1]), plistlib.dumps({"elapsed_ns": 1}),
        plist(combined_power=1.0), plist(cpu_power=-1.0), plist(cpu_power=float("nan")), plistlib.dumps({"processor": {"cpu_power": "9"}}),
        plistlib.dumps({"processor": {"cpu_power": 9.0}}),
    ],
)  # fmt: skip
def test_what_is_no_such_plist_is_refused_with_a_reason(document: bytes) -> None:
    with pytest.raises(Unreadable, match="powermetrics"):
        parse(document)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_unreadable(document: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(document)


def writer(program: str) -> Stream:
    """A process that writes as powermetrics would, on any system: what is tested is the pipe and the process."""
    prelude = f"import signal, sys, time\nPLIST = {SILICON!r}\nout = sys.stdout.buffer\n"
    return Stream([sys.executable, "-c", prelude + textwrap.dedent(program)])


def read_until(domain: Domain, done: str) -> None:
    """Read until the domain has watts, or a reason, as `done` says."""
    for now in range(3000):
        domain.read(now / 1000)  # no silence by this clock
        if getattr(domain.gauge if done == "watts" else domain, done) is not None:
            return
        time.sleep(0.005)
    raise AssertionError(f"no {done} after {now} reads")


def test_plists_that_come_in_pieces_are_added_over_their_own_intervals() -> None:
    stream = writer(
        """
        for part in (PLIST[:100], PLIST[100:] + b"\\0" + PLIST[:50], PLIST[50:]):
            out.write(part); out.flush(); time.sleep(0.05)
        time.sleep(60)
        """
    )
    sensor = listen(stream, ["cpu"])
    cpu = sensor.domains[0]
    try:
        while cpu.gauge.joules is None or cpu.gauge.joules < 4:
            read_until(cpu, "watts")
        assert cpu.energy().joules == pytest.approx(2 * 2.4505 * 1.004333)
        assert cpu.energy().method == "integrated"
    finally:
        sensor.close()


def test_a_command_that_ends_leaves_a_reason_on_every_domain() -> None:
    sensor = listen(writer("sys.exit(1)"), ["cpu", "gpu"])
    read_until(sensor.domains[0], "reason")
    sensor.domains[1].read(0.0)
    assert "ended" in (sensor.domains[1].reason or "")
    sensor.close()


def test_a_stream_without_an_end_is_given_up_at_its_bound() -> None:
    sensor = listen(writer("while True: out.write(b'x' * 65536)"), ["cpu"])
    read_until(sensor.domains[0], "reason")
    assert f"more than {powermetrics.LARGEST} bytes" in (sensor.domains[0].reason or "")
    sensor.close()


def test_watts_that_nobody_renews_are_no_reading_any_more() -> None:
    sensor = listen(writer("out.write(PLIST); out.flush(); time.sleep(60)"), ["cpu"])
    cpu = sensor.domains[0]
    read_until(cpu, "watts")
    cpu.read(1000.0)
    assert cpu.energy().watts is None
    assert "wrote nothing" in (cpu.reason or "")
    sensor.close()


def test_closing_ends_even_a_process_that_ignores_sigterm() -> None:
    stream = writer("signal.signal(signal.SIGTERM, signal.SIG_IGN); out.write(PLIST); out.flush(); time.sleep(60)")
    sensor = listen(stream, ["cpu"])
    read_until(sensor.domains[0], "watts")  # from here on SIGTERM is ignored
    process: subprocess.Popen[bytes] = stream._process
    sensor.close()
    assert process.poll() is not None


def test_elsewhere_than_on_macos_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    sensor = powermetrics.find()
    assert (sensor.domains, sensor.reason) == ([], "macOS only")
