"""Why an environment is not made."""

from bus.errors import BusError


class EnvironmentFailed(BusError):
    """An environment could not be made; the message says why, and what to do."""


class BadLock(EnvironmentFailed):
    """A requirements.lock of an agent that does not say what its environment needs."""
