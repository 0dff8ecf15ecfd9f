"""What the engine's process takes of this machine: found by the port that it listens on, read by psutil and NVML."""

from __future__ import annotations

from ipaddress import ip_address

import psutil
from msgspec.structs import replace

from agents.ue5.connection.discovery import is_loopback
from agents.ue5.measures.gpu import Cards, Unread
from schemas import ue5

FORWARDER = "ssh"
"""The program that listens here for an engine that runs elsewhere."""
_WILDCARDS = ("0.0.0.0", "::")


class Meter:
    """Reads one process, from a thread. `cards` are those of the machine, or why they cannot be read."""

    def __init__(self, engine: str, pid: int | None, reason: str | None, cards: Cards | str) -> None:
        self._engine = engine
        self.pid = pid
        self._reason = reason
        self._cards = cards
        self._process: psutil.Process | None = None

    def read(self) -> ue5.Load:
        """One reading. CPU is that since the last one, and null in the first."""
        load = ue5.Load(engine=self._engine, pid=self.pid)
        if self.pid is None:
            return replace(load, reasons={"pid": self._reason or "unknown"})
        name = name_of(self.pid)
        if name == FORWARDER:
            why = f"{name} listens there, for an engine on another machine: what it takes can only be read there"
            return replace(load, process=name, reasons=dict.fromkeys(("cpu", "memory", "gpu", "video_memory"), why))
        return self._read(replace(load, process=name), self.pid)

    def _read(self, load: ue5.Load, pid: int) -> ue5.Load:
        reasons: dict[str, str] = {}
        cpu, memory = self._read_process(pid, reasons)
        gpu, video_memory = self._read_cards(pid, reasons)
        return replace(load, cpu=cpu, memory=memory, gpu=gpu, video_memory=video_memory, reasons=reasons)

    def _read_process(self, pid: int, reasons: dict[str, str]) -> tuple[float | None, int | None]:
        try:
            first = self._process is None
            self._process = self._process or psutil.Process(pid)
            cpu = self._process.cpu_percent() / 100
            if first:
                reasons["cpu"] = "a share of time needs two readings, and this is the first"
            return None if first else cpu, self._process.memory_info().rss
        except psutil.Error as error:
            reasons["cpu"] = reasons["memory"] = str(error)
            return None, None

    def _read_cards(self, pid: int, reasons: dict[str, str]) -> tuple[float | None, int | None]:
        try:
            gpu, used = _of(self._cards, pid)
        except Unread as error:
            reasons["gpu"] = reasons["video_memory"] = str(error)
            return None, None
        if used is None:
            reasons["video_memory"] = "the driver does not say what this process has there"
        return gpu, used


def listener(host: str, port: int) -> tuple[int | None, str | None]:
    """The pid of the process that listens on this port of this machine, or why it cannot be told. Reads /proc, or asks the system: slow."""
    if not is_loopback(host):
        return None, f"{host} is another machine, as far as can be told from here"
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    except (psutil.Error, OSError) as error:
        return None, f"who listens on port {port} is not told: {type(error).__name__} {error}".strip()
    found = [each for ip in _answering(host) for each in listening if each.laddr and (each.laddr.ip, each.laddr.port) == (ip, port)]
    if not found:
        return None, f"nobody is seen to listen at {host}:{port}: the engine runs in another network namespace, or on another machine"
    pid = found[0].pid
    return pid, None if pid is not None else f"the process that listens on port {port} is another user's"


def name_of(pid: int) -> str | None:
    """What a process is called, None: it is gone."""
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None


def open_cards() -> Cards | str:
    """The graphics cards, or why there are none to read."""
    try:
        return Cards()
    except Unread as error:
        return str(error)


def _answering(host: str) -> tuple[str, ...]:
    """The addresses whose listener a connection to `host` reaches, the nearest first."""
    own = ("127.0.0.1", "::1") if host == "localhost" else (str(ip_address(host.strip("[]"))),)
    return (*own, *_WILDCARDS)


def _of(cards: Cards | str, pid: int) -> tuple[float, int | None]:
    if isinstance(cards, str):
        raise Unread(cards)
    return cards.of(pid)
