"""A token lets one browser in once and for ten minutes; its cookie is good for thirty days, with the key it was signed by."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from agents.xr.door.pairing import COOKIE_SECONDS, INVITATION_SECONDS, INVITATIONS, WRONG_TOKENS, Pairing, TooManyTokens, WrongToken

SECOND = 1_000_000_000
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


class Clock:
    def __init__(self, seconds: int = 1_700_000_000) -> None:
        self.now = seconds * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: int) -> None:
        self.now += seconds * SECOND


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pairing(clock: Clock) -> Pairing:
    return Pairing(KEY, clock)


def cookie_of(pairing: Pairing) -> str:
    return pairing.exchange(pairing.invite().token)


def test_a_token_has_256_bits_and_none_comes_twice(pairing: Pairing) -> None:
    tokens = {pairing.invite().token for _ in range(100)}

    assert len(tokens) == 100
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_an_invitation_says_when_it_ends(pairing: Pairing, clock: Clock) -> None:
    assert pairing.invite().expires == clock.now + 600 * SECOND


def test_a_token_lets_in_once(pairing: Pairing) -> None:
    token = pairing.invite().token

    assert pairing.admits(pairing.exchange(token))
    with pytest.raises(WrongToken, match="used up"):
        pairing.exchange(token)


@pytest.mark.parametrize(("seconds", "good"), [(INVITATION_SECONDS - 1, True), (INVITATION_SECONDS, False)])
def test_a_token_is_good_for_ten_minutes(pairing: Pairing, clock: Clock, seconds: int, good: bool) -> None:
    token = pairing.invite().token
    clock.pass_by(seconds)

    if good:
        assert pairing.exchange(token)
    else:
        with pytest.raises(WrongToken):
            pairing.exchange(token)


def test_of_many_invitations_the_oldest_go(pairing: Pairing) -> None:
    tokens = [pairing.invite().token for _ in range(INVITATIONS + 1)]

    with pytest.raises(WrongToken):
        pairing.exchange(tokens[0])
    assert all(pairing.exchange(token) for token in tokens[1:])


@pytest.mark.parametrize("token", ["", "ü", "a" * 43, "\x00"])
def test_a_token_that_nobody_was_given_is_wrong(pairing: Pairing, token: str) -> None:
    pairing.invite()

    with pytest.raises(WrongToken):
        pairing.exchange(token)


def test_wrong_tokens_are_limited_and_keep_nobody_out(pairing: Pairing, clock: Clock) -> None:
    token = pairing.invite().token
    said = [refusal_of(pairing) for _ in range(WRONG_TOKENS + 2)]
    assert said == [WrongToken] * WRONG_TOKENS + [TooManyTokens] * 2

    assert pairing.exchange(token)
    clock.pass_by(60)
    assert refusal_of(pairing) is WrongToken


def refusal_of(pairing: Pairing) -> type[WrongToken]:
    with pytest.raises(WrongToken) as refusal:
        pairing.exchange("wrong")
    return refusal.type


def test_a_cookie_outlives_the_agent_but_not_its_key(pairing: Pairing, clock: Clock) -> None:
    cookie = cookie_of(pairing)

    assert Pairing(KEY, clock).admits(cookie)
    assert not Pairing(OTHER_KEY, clock).admits(cookie)


def test_a_cookie_ends_after_thirty_days(pairing: Pairing, clock: Clock) -> None:
    cookie = cookie_of(pairing)

    clock.pass_by(COOKIE_SECONDS - 1)
    assert pairing.admits(cookie)
    clock.pass_by(1)
    assert not pairing.admits(cookie)


def test_who_is_forgotten_is_neither_paired_nor_invited(pairing: Pairing) -> None:
    cookie, token = cookie_of(pairing), pairing.invite().token

    pairing.forget(OTHER_KEY)

    assert not pairing.admits(cookie)
    with pytest.raises(WrongToken):
        pairing.exchange(token)
    assert pairing.admits(cookie_of(pairing))


@given(st.integers(0, 10), st.text(max_size=60))
def test_no_cookie_is_forged_from_another(later: int, noise: str) -> None:
    pairing = Pairing(KEY, Clock())
    expires, _, signature = cookie_of(pairing).partition(".")

    assert not pairing.admits(noise)
    assert not pairing.admits(f"{int(expires) + 1 + later}.{signature}")
    assert not pairing.admits(f"0{expires}.{signature}")
    assert not pairing.admits(f"{expires}.{signature[:-1]}")


class Browsers(RuleBasedStateMachine):
    """Against a model that knows until when each token and cookie is good."""

    tokens = Bundle("tokens")
    cookies = Bundle("cookies")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.pairing = Pairing(KEY, self.clock)
        self.invited: dict[str, int] = {}
        self.paired: dict[str, int] = {}
        self.keys = 0

    @rule(target=tokens)
    def invite(self) -> str:
        invitation = self.pairing.invite()
        self.invited[invitation.token] = self.clock.now + INVITATION_SECONDS * SECOND
        self.invited = dict(list(self.invited.items())[-INVITATIONS:])
        return invitation.token

    @rule(target=cookies, token=tokens)
    def exchange(self, token: str) -> str:
        if self.invited.get(token, 0) <= self.clock.now:
            with pytest.raises(WrongToken):
                self.pairing.exchange(token)
            return ""
        del self.invited[token]
        cookie = self.pairing.exchange(token)
        self.paired[cookie] = self.clock.now + COOKIE_SECONDS * SECOND
        return cookie

    @rule(seconds=st.sampled_from([1, 300, INVITATION_SECONDS, COOKIE_SECONDS // 2]))
    def pass_by(self, seconds: int) -> None:
        self.clock.pass_by(seconds)

    @rule()
    def forget(self) -> None:
        self.keys += 1
        self.pairing.forget(self.keys.to_bytes(32, "big"))
        self.invited, self.paired = {}, {}

    @rule(cookie=cookies)
    def ask(self, cookie: str) -> None:
        assert self.pairing.admits(cookie) == (self.paired.get(cookie, 0) > self.clock.now)

    @invariant()
    def nobody_comes_in_without(self) -> None:
        assert not self.pairing.admits("")


TestBrowsers = Browsers.TestCase
