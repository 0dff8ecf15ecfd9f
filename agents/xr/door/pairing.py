"""Who may come in from the LAN: by an invitation, once, and then by the cookie that it was exchanged for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

TOKEN_BYTES = 32
INVITATION_SECONDS = 600
INVITATIONS = 4
"""Outstanding at most: one more takes the place of the oldest."""
COOKIE_SECONDS = 30 * 24 * 3600
WRONG_TOKENS, WRONG_SECONDS = 10, 60
"""So many wrong tokens are looked at in so many seconds."""
KEY_BYTES = 32
"""Of the key that cookies are signed by."""

_SECOND = 1_000_000_000
_COOKIE = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)
_PURPOSE = b"zeropoint-bus xr cookie, "


class WrongToken(ValueError):
    """A token that nobody was invited by, or that is used up or out of date."""


class TooManyTokens(WrongToken):
    """Wrong, as many before it were."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A secret that lets one browser in, before `expires` (ns since the Unix epoch)."""

    token: str
    expires: int


class Pairing:
    """Invitations live as long as this does; cookies are signed by a key, so that they are good as long as the key is.

    `now` is the time in ns since the Unix epoch.
    """

    def __init__(self, key: bytes, now: Callable[[], int] = time.time_ns) -> None:
        self._key, self._now = key, now
        self._invitations: deque[Invitation] = deque(maxlen=INVITATIONS)
        self._wrong: deque[int] = deque(maxlen=WRONG_TOKENS)

    def invite(self) -> Invitation:
        invitation = Invitation(secrets.token_urlsafe(TOKEN_BYTES), self._now() + INVITATION_SECONDS * _SECOND)
        self._invitations.append(invitation)
        return invitation

    def exchange(self, token: str) -> str:
        """A cookie's value for an invitation's token. Raises WrongToken.

        A right token is taken however many wrong ones came before: it cannot be guessed, and who tries shall not keep others out.
        """
        now = self._now()
        found = [each for each in self._invitations if _same(each.token, token)]  # each is looked at, so that the time says nothing
        if not found or found[0].expires <= now:
            raise self._wrong_token(now)
        self._invitations.remove(found[0])
        return self._cookie(now // _SECOND + COOKIE_SECONDS)

    def admits(self, cookie: str) -> bool:
        """Whether it is one of ours, and still good."""
        parts = _COOKIE.fullmatch(cookie)
        return parts is not None and _same(self._cookie(int(parts[1])), cookie) and int(parts[1]) * _SECOND > self._now()

    def forget(self, key: bytes) -> None:
        """Sign by this key from now on: whoever was paired or invited by now is not any longer."""
        self._key = key
        self._invitations.clear()

    def _cookie(self, expires: int) -> str:
        signature = hmac.digest(self._key, _PURPOSE + b"%d" % expires, hashlib.sha256)
        return f"{expires}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def _wrong_token(self, now: int) -> WrongToken:
        if len(self._wrong) == WRONG_TOKENS and now - self._wrong[0] < WRONG_SECONDS * _SECOND:
            return TooManyTokens(f"too many wrong tokens: {WRONG_TOKENS} in {WRONG_SECONDS} s are looked at")
        self._wrong.append(now)
        return WrongToken("the token is wrong, used up or out of date: `bus call xr.pair` makes another one")


def _same(ours: str, theirs: str) -> bool:
    """Found out in the same time however much of it is the same."""
    return hmac.compare_digest(ours.encode(), theirs.encode())
