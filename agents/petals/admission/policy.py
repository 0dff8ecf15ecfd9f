"""Who may use the blocks hosted here: artifacts/petals/policy.json, which the agent writes and the host looks at with every call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs

from agents.parts.bounded import Unreadable, read_bounded
from bus.log.disk import make_folder, replace_file
from schemas import petals
from schemas.petals import PeerId

MOST = 1000
"""Peers in one list at most."""
LIMIT = 1 << 18
"""Bytes of the file at most: three full lists take less."""
YOUNG = 50_000_000
"""Nanoseconds. A file that changed so shortly before it was read may change again and show the same times: it is read again."""

Peers = Annotated[frozenset[PeerId], Meta(max_length=MOST)]


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`open`: whoever is not blocked may ask; else only who is allowed. `own` are this agent's own processes, which always may."""

    open: bool
    allowed: Peers = frozenset()
    blocked: Peers = frozenset()
    own: Peers = frozenset()


class BadPolicy(ValueError):
    """A policy that cannot be: the message says why."""


def may_ask(policy: Policy | None, peer: str) -> str | None:
    """Why a peer may not use the blocks, None where it may. Without a policy nobody may; a block counts more than all but being its own."""
    if policy is None:
        return "nobody may ask, for the policy of this host cannot be read"
    if peer in policy.own:
        return None
    if peer in policy.blocked:
        return "this peer is blocked"
    return None if policy.open or peer in policy.allowed else "this peer is not allowed"


def allow(policy: Policy, peer: str) -> Policy:
    """The policy with this peer allowed, and no longer blocked. Raises BadPolicy."""
    return _checked(structs.replace(policy, allowed=policy.allowed | {peer}, blocked=policy.blocked - {peer}))


def block(policy: Policy, peer: str) -> Policy:
    """The policy with this peer blocked, and no longer allowed. Raises BadPolicy."""
    if peer in policy.own:
        raise BadPolicy(f"{peer} is this agent's own: it cannot be blocked")
    return _checked(structs.replace(policy, allowed=policy.allowed - {peer}, blocked=policy.blocked | {peer}))


def published(policy: Policy) -> petals.Policy:
    """As the agent tells it."""
    return petals.Policy(open=policy.open, allowed=sorted(policy.allowed), blocked=sorted(policy.blocked))


def read_policy(path: Path) -> Policy:
    """What the file says. Raises BadPolicy."""
    try:
        return msgspec.json.decode(read_bounded(path, LIMIT), type=Policy)
    except (Unreadable, msgspec.DecodeError) as error:
        raise BadPolicy(f"{path.name}: {error}") from error


def write_policy(path: Path, policy: Policy) -> None:
    """Let the file say this, whole or not at all; only this user may read it. Raises OSError."""
    make_folder(path.parent)
    replace_file(path, msgspec.json.format(msgspec.json.encode(policy, order="deterministic"), indent=2) + b"\n", 0o600)


class PolicyFile:
    """The policy as the file has it now: it is read again where it changed, and where it cannot be read there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._policy: Policy | None = None

    def current(self) -> Policy | None:
        try:
            status = self._path.stat()
        except OSError:
            self._seen = None
            return None
        seen = status.st_mtime_ns, status.st_ino, status.st_size
        if seen != self._seen:
            self._policy = self._read()
            self._seen = seen if time.time_ns() - status.st_mtime_ns > YOUNG else None
        return self._policy

    def _read(self) -> Policy | None:
        try:
            return read_policy(self._path)
        except BadPolicy:
            return None


def _checked(policy: Policy) -> Policy:
    """Raises BadPolicy where the file could not be read again."""
    try:
        return msgspec.convert(msgspec.to_builtins(policy), Policy)
    except msgspec.ValidationError as error:
        raise BadPolicy(f"this is no policy: {error}; at most {MOST} peers are allowed, and so many blocked") from error
