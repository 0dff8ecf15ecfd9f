"""What the recorder says of itself, whichever of its threads has the news."""

from __future__ import annotations

import threading
from pathlib import Path

from agents.recorder.agent import Recorder, RecorderSettings
from bus.lifecycle import AgentState
from bus.testing import FakeBus


class SlowBus(FakeBus):
    """Takes its time over the first state."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.begun, self.go_on = threading.Event(), threading.Event()

    def state_changed(self, state: AgentState, reason: str | None) -> None:
        if not self.begun.is_set():
            self.begun.set()
            self.go_on.wait(10)
        super().state_changed(state, reason)


def test_the_state_said_last_is_the_one_that_holds(tmp_path: Path) -> None:
    bus = SlowBus()
    recorder = Recorder(bus, RecorderSettings(), tmp_path)
    fails = threading.Thread(target=recorder._trouble, args=("log", "the disk is full"))
    mends = threading.Thread(target=recorder._trouble, args=("log", None))

    fails.start()
    bus.begun.wait(10)
    mends.start()
    mends.join(0.2)
    bus.go_on.set()
    fails.join(10)
    mends.join(10)

    assert bus.states == [("degraded", "the disk is full"), ("running", None)]
    assert (recorder.state, recorder.reason) == bus.states[-1]
