"""Who speaks for a device where several sources do: the one that began last, until it rests."""

from __future__ import annotations

from schemas.xr import Device

MOST = 64
"""Sources that are remembered though they speak for no device: a tracker may call itself by a new name at each start."""


class Arbiter:
    """Sources by their names, in the order in which they began to speak."""

    def __init__(self) -> None:
        self._began: dict[str, int] = {}
        self._speaks: dict[Device, str] = {}
        self._count = 0

    def admits(self, source: str, device: Device) -> bool:
        """Whether the source may speak for the device. It begins with the first that it says, and anew after a rest."""
        if source not in self._began:
            self._count += 1
            self._began[source] = self._count
            self._forget_silent()
        speaker = self._speaks.get(device, source)
        return self._began[source] >= self._began[speaker]

    def speak(self, source: str, device: Device) -> None:
        """The source, which may, speaks for the device from now on."""
        self._speaks[device] = source

    def devices(self, source: str) -> list[Device]:
        """Those that the source speaks for."""
        return [device for device, speaker in self._speaks.items() if speaker == source]

    def release(self, device: Device) -> None:
        """Nobody speaks for it now: it is lost."""
        self._speaks.pop(device, None)

    def rest(self, source: str) -> list[Device]:
        """The source says nothing for now. Returns the devices that it spoke for, for which another may speak."""
        devices = self.devices(source)
        for device in devices:
            del self._speaks[device]
        self._began.pop(source, None)
        return devices

    def _forget_silent(self) -> None:
        """The oldest of too many that speak for nothing, but for the one that has just begun."""
        *before, _ = self._began
        silent = [source for source in before if source not in self._speaks.values()]
        if len(silent) > MOST:
            del self._began[silent[0]]
