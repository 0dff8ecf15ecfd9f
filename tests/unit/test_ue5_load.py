"""What the engine's process takes: read where it can be, and null with the reason where not."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from agents.ue5.measures.gpu import Cards, Unread
from agents.ue5.measures.load import Meter, listener

PID = os.getpid()


@dataclass
class Driver:
    """The library, as NVML's reference describes it: one process on the second of two cards."""

    graphics: list[SimpleNamespace] = field(default_factory=list)
    compute: list[SimpleNamespace] = field(default_factory=list)

    is_open: bool = False

    def nvmlInit(self) -> None:
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return self.graphics if handle == 1 else []

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return self.compute if handle == 1 else []

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=40 * handle, memory=1)


class NoDriver(Driver):
    def nvmlInit(self) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


def process(used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=PID, usedGpuMemory=used)


def test_a_process_is_found_on_its_card_with_its_memory() -> None:
    cards = Cards(Driver(graphics=[process(1 << 30)], compute=[process(1 << 20)]))
    assert cards.of(PID) == (0.4, 1 << 30)


def test_a_process_on_no_card_is_no_zero_but_a_reason() -> None:
    with pytest.raises(Unread, match=f"no process {PID} on 2 cards"):
        Cards(Driver()).of(PID)


def test_memory_that_the_driver_does_not_tell_is_null_with_a_reason() -> None:
    load = Meter("engine", PID, None, Cards(Driver(graphics=[process(None)]))).read()
    assert (load.gpu, load.video_memory) == (0.4, None)
    assert "does not say" in load.reasons["video_memory"]


def test_a_machine_without_driver_has_the_reason_for_both_figures() -> None:
    with pytest.raises(Unread, match="NVML") as caught:
        Cards(NoDriver())
    load = Meter("engine", PID, None, str(caught.value)).read()
    assert (load.gpu, load.video_memory) == (None, None)
    assert load.reasons["gpu"] == load.reasons["video_memory"] == str(caught.value)


def test_cpu_is_known_from_the_second_reading_on() -> None:
    meter = Meter("engine", PID, None, "no cards")
    first, second = meter.read(), meter.read()
    assert (first.cpu, "cpu" in first.reasons) == (None, True)
    assert second.cpu is not None
    assert "cpu" not in second.reasons
    assert first.memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)


def test_a_process_that_is_gone_is_null_with_the_reason() -> None:
    load = Meter("engine", 2**22 + 1, None, "no cards").read()
    assert (load.cpu, load.memory) == (None, None)
    assert set(load.reasons) >= {"cpu", "memory"}


def test_an_engine_whose_process_cannot_be_told_has_no_figures_and_says_why() -> None:
    load = Meter("engine", None, "another user's", "no cards").read()
    assert (load.pid, load.cpu, load.memory, load.gpu, load.video_memory) == (None, None, None, None, None)
    assert load.reasons == {"pid": "another user's"}


def test_an_engine_on_another_machine_has_no_process_here() -> None:
    pid, reason = listener("192.0.2.1", 30010)
    assert pid is None
    assert "another machine" in (reason or "")


def listening(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Processes that listen on port 30010, each at an address."""
    connections = [SimpleNamespace(status=psutil.CONN_LISTEN, laddr=SimpleNamespace(ip=ip, port=30010), pid=pid) for ip, pid in places]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: connections)


@pytest.mark.parametrize(
    ("host", "places", "pid"),
    [
        ("127.0.0.1", [("127.0.0.2", 1), ("0.0.0.0", 2), ("127.0.0.1", 3)], 3),
        ("127.0.0.1", [("127.0.0.2", 1), ("0.0.0.0", 2)], 2),
        ("127.0.0.1", [("127.0.0.2", 1), ("::1", 4)], None),
        ("[::1]", [("127.0.0.1", 1), ("::1", 4)], 4),
        ("localhost", [("::1", 4), ("127.0.0.1", 3)], 3),
    ],
)
def test_who_listens_is_who_answers_at_that_address(
    host: str, places: list[tuple[str, int]], pid: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening(monkeypatch, *places)
    assert listener(host, 30010)[0] == pid


def test_an_engine_behind_a_tunnel_has_none_of_the_tunnels_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.ue5.measures.load.name_of", lambda pid: "ssh")
    load = Meter("engine", PID, None, Cards(Driver(graphics=[process(1)]))).read()
    assert (load.process, load.cpu, load.memory, load.gpu, load.video_memory) == ("ssh", None, None, None, None)
    assert set(load.reasons) == {"cpu", "memory", "gpu", "video_memory"}


def test_a_process_is_named() -> None:
    assert Meter("engine", PID, None, "no cards").read().process == psutil.Process().name()


def test_a_system_that_does_not_tell_who_listens_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied(msg="root only")

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert listener("127.0.0.1", 30010) == (None, "who listens on port 30010 is not told: AccessDenied root only")
