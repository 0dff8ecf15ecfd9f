"""An agent that ships a lock: its supervisor makes what that asks for, with the real venv and pip, while the agent is of use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import CHECKOUT, Appliance, wait_for
from packages import Index, serving

from bus.client import Client
from bus.environment import command
from bus.environment.errors import EnvironmentFailed
from bus.environment.place import Place
from bus.event import Event
from bus.lifecycle import ENVIRONMENT, EnvironmentChanged
from schemas import power

MAKING = 60.0
"""Seconds that an empty environment and three small packages may take on a busy machine."""
TABLE = f"""\
# /// environment
# python = ["{sys.version_info[0]}.{sys.version_info[1]}"]
# free_gib = 0.1
# with_dependencies = ["left"]
# from_source = [{{}}]
# ///
"""
PINS = "left==1.0\nbuilt==1.0\n"
LOCK = TABLE.format('"built"') + PINS


class Own:
    """The agent `power`, as it would be with a lock of its own."""

    def __init__(self, appliance: Appliance, index: Index, folder: Path) -> None:
        self.appliance, self.index = appliance, index
        self.place = Place("power", folder / "agents", folder / "environments")

    def start(self, lock: str) -> subprocess.Popen[bytes]:
        self.place.lock.parent.mkdir(parents=True, exist_ok=True)
        self.place.lock.write_text(lock)
        place = self.place
        return self.appliance.party("power", "supervise.py", "power", place.agents, place.environments, **self.index.settings)

    def end(self, client: Client) -> EnvironmentChanged:
        """How the making ended."""
        return next(event.data for event in self.changes(client) if event.data.state != "making")

    def changes(self, client: Client) -> Iterator[Event[EnvironmentChanged]]:
        return client.events(ENVIRONMENT, since="10m", timeout=MAKING)

    def makers(self) -> list[psutil.Process]:
        """The processes in which venv and pip run."""
        return [each for each in self.appliance.left_over() if str(self.place.folder) in " ".join(each.cmdline())]


@pytest.fixture
def own(appliance: Appliance, tmp_path: Path) -> Iterator[Own]:
    appliance.start("hub", "recorder")
    with serving(tmp_path / "index") as index:
        yield Own(appliance, index, tmp_path)


def test_an_agent_answers_while_its_environment_is_made_beside_it(appliance: Appliance, own: Own) -> None:
    client = appliance.connect()
    own.start(LOCK)
    assert own.index.asked.wait(MAKING)
    appliance.wait_for_agent(client, "power")

    assert client.call(power.STATUS, timeout=10)
    assert own.place.missing() == "not finished"
    own.index.gate.set()
    assert own.end(client) == EnvironmentChanged(agent="power", state="ready")


def test_what_is_made_has_what_the_lock_names_and_reads_the_checkout(appliance: Appliance, own: Own) -> None:
    own.index.gate.set()
    own.start(LOCK)
    client = appliance.connect()
    assert own.end(client).state == "ready"
    code = "import left, right, built, schemas; print(schemas.__file__)"
    done = subprocess.run([own.place.python, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == str(CHECKOUT / "schemas" / "__init__.py")
    assert own.place.missing() is None
    first = next(own.changes(client))
    assert (first.source, first.data.agent, first.data.state, first.data.total) == ("supervisor-power", "power", "making", 3)


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        (TABLE.format("") + "left==9.9\n", "No matching distribution found for left==9.9"),
        (TABLE.format("") + PINS, "only what the lock names is built from source"),
        (PINS, "says which Python it needs"),
    ],
)
def test_an_agent_goes_on_without_what_cannot_be_made(appliance: Appliance, own: Own, lock: str, reason: str) -> None:
    own.index.gate.set()
    own.start(lock)
    client = appliance.connect()
    failed = own.end(client)
    appliance.wait_for_agent(client, "power")

    assert failed.state == "failed"
    assert failed.reason is not None
    assert reason in failed.reason
    assert "./dev environment power" in failed.reason
    assert client.call(power.STATUS, timeout=10)


@pytest.mark.parametrize("kill", [False, True])
def test_what_makes_it_ends_with_the_supervisor_and_the_next_start_makes_it_anew(appliance: Appliance, own: Own, kill: bool) -> None:
    supervisor = own.start(LOCK)
    assert own.index.asked.wait(MAKING)
    assert own.makers()
    supervisor.kill() if kill else supervisor.terminate()
    assert supervisor.wait(10) == (-9 if kill else 0)
    wait_for(lambda: not own.makers(), "the end of pip")
    wait_for(lambda: not [each for each in appliance.left_over() if "power" in each.cmdline()], "the end of the agent")
    assert own.place.missing() == "not finished"
    own.index.gate.set()
    own.start(LOCK)

    assert own.end(appliance.connect()).state == "ready"


def test_a_command_that_falls_silent_and_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "EXIT_PATIENCE", 0.2)
    silent = ["-n1", "-r1", "-s", f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"]
    leaves = [*silent, "os.close(1); os.close(2); time.sleep(600)"]

    with pytest.raises(EnvironmentFailed, match="timeit said its last, and had not ended"):
        list(command.run(Path(sys.executable), "timeit", leaves, tmp_path))

    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_the_foreground_verb_wants_an_agent_that_ships_a_lock(appliance: Appliance) -> None:
    command = [sys.executable, "-m", "bus.environment", "../hub"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert "petals" in done.stderr
