"""Whether an engine is ready for the bridge, and what mends it where it is not: decided from facts that looking.py asks for."""

from __future__ import annotations

import re

from msgspec import Struct

from agents.ue5.connection.discovery import is_embedded
from agents.ue5.functions import FUNCTIONS
from agents.ue5.project.allowance import allowance
from agents.ue5.remote.wire import PASSPHRASE_CODES
from schemas.ue5 import Finding, Preflight

OLDEST, NEWEST = (5, 3), (5, 8)
"""Versions of Unreal that this bridge is made for."""
THROTTLED = 10.0
"""Frames a second: an editor in the background draws about three."""
_UNREAL = re.compile(r"(\d+)\.(\d+)")

START = (
    "in Unreal: enable the plugin Remote Control API (Edit > Plugins), and enter WebControl.StartServer in the console; "
    "without Unreal: `bus run engine`"
)
"""A plugin that is off and a server that was not started look the same from outside."""
ALWAYS = "for every start: WebControl.EnableServerOnStartup 1 (the project of `bus call ue5.project` has it)"


class Facts(Struct, frozen=True, kw_only=True):
    """What was found at an address. Null: not known.

    `unreachable` and `no_websocket` say why, `refused` what the engine said to functions that it was not allowed to run; `rate` is frames
    a second.
    """

    address: str
    unreachable: str | None = None
    code: int | None = None
    engine: str | None = None
    no_websocket: str | None = None
    refused: dict[str, str] = {}
    rate: float | None = None

    @property
    def is_answered(self) -> bool:
        """Whether something is there, be it an engine that does not let us in."""
        return self.engine is not None or self.code is not None

    @property
    def is_embedded(self) -> bool:
        return self.engine is not None and is_embedded(self.engine)


def decide(facts: Facts) -> Preflight:
    """The findings that the facts allow: of an engine that does not answer, only that."""
    findings = [_reachable(facts)]
    if facts.code in PASSPHRASE_CODES:
        findings.append(_passphrase())
    if facts.engine is not None:
        findings += [_version(facts.engine), _websocket(facts), _functions(facts), *_throttled(facts)]
    return Preflight(address=facts.address, engine=facts.engine, ok=all(finding.ok for finding in findings), findings=findings)


def is_forbidden(message: str) -> bool:
    """Whether the engine says that it has the function and does not let it be called."""
    return "is not allowed" in message


def summary(preflight: Preflight) -> str | None:
    """What to do, in one line, None: nothing."""
    mends = [f"{finding.detail}: {finding.mend}" if finding.mend else finding.detail for finding in preflight.findings if not finding.ok]
    return "; ".join(mends) or None


def _reachable(facts: Facts) -> Finding:
    if facts.unreachable is None:
        return Finding(name="reachable", ok=True, detail=f"Remote Control answers at {facts.address}")
    mend = None if facts.code in PASSPHRASE_CODES else f"{START}; {ALWAYS}"
    return Finding(name="reachable", ok=False, detail=f"nothing to use at {facts.address}: {facts.unreachable}", mend=mend)


def _passphrase() -> Finding:
    return Finding(
        name="passphrase",
        ok=False,
        detail="the engine wants a passphrase, or another one",
        mend="set ue5.passphrase_file (bus.toml) to a file with the passphrase of Project Settings > Remote Control",
    )


def _version(engine: str) -> Finding:
    match = _UNREAL.match(engine)
    known = is_embedded(engine) or (match is not None and OLDEST <= (int(match[1]), int(match[2])) <= NEWEST)
    mend = None if known else "use Unreal Engine 5.3 to 5.8; others may answer, and nobody has tried"
    return Finding(name="version", ok=known, detail=engine, mend=mend)


def _websocket(facts: Facts) -> Finding:
    if facts.no_websocket is None:
        return Finding(name="websocket", ok=True, detail="requests are pipelined over the WebSocket")
    return Finding(
        name="websocket",
        ok=False,
        detail=f"HTTP is used, which is slower: {facts.no_websocket}",
        mend="Project Settings > Remote Control: bAutoStartWebSocketServer, and its port ten above that of HTTP",
    )


def _functions(facts: Facts) -> Finding:
    if not facts.refused:
        return Finding(name="functions", ok=True, detail="no function that was tried is refused")
    names = ", ".join(sorted(facts.refused))
    lines = "\n".join(allowance(function) for function in FUNCTIONS if function.name in facts.refused)
    return Finding(
        name="functions",
        ok=False,
        detail=f"the engine does not let these be called: {names}",
        mend=f"add to Config/DefaultRemoteControl.ini below [/Script/RemoteControlCommon.RemoteControlSettings], and restart:\n{lines}",
    )


def _throttled(facts: Facts) -> list[Finding]:
    if facts.rate is None:
        return []
    slow = facts.rate < THROTTLED
    mend = "Editor Preferences > Performance: bThrottleCPUWhenNotForeground=False (Use Less CPU when in Background)" if slow else None
    return [Finding(name="frame_rate", ok=not slow, detail=f"{facts.rate:.1f} frames a second", mend=mend)]
