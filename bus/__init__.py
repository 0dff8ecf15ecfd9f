"""The message bus. `bus.connect(name)` joins it; everything else is in the modules that say what they are for."""

from bus.client import Client, connect

__all__ = ["Client", "connect"]
