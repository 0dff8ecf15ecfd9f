"""What can go wrong on the bus, as a tree that a caller can catch at the right level."""


class BusError(Exception):
    """Anything that the bus raises."""


class BusTimeout(BusError):
    """A deadline passed. A command that timed out may have run all the same."""


class BusFull(BusError):
    """The ring of unacknowledged events stayed full for the whole publish timeout: is the recorder running?"""


class NoHub(BusError):
    """No hub answers at this address."""


class CorruptFrame(BusError):
    """Bytes that are no frame of the wire contract, or no map of the topic's struct."""


class FrameTooLarge(BusError):
    """An event over the frame limit: bulk belongs into the store, and its hash onto the bus."""


class NotDeclared(BusError):
    """An agent published a topic that is not in its `publishes` table."""


class CorruptLog(BusError):
    """Bytes of the log that do not read back as they were written."""


class LockHeld(BusError):
    """Another process already is what this one wants to be: the hub, the recorder, or the agent of this name."""


class NoSuchAgent(BusError):
    """Nobody listens to this agent's commands."""


class AgentGone(BusError):
    """The agent vanished while its reply was awaited: the command may have run."""


class CommandRefused(BusError):
    """The agent's answer to a command is no. `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
