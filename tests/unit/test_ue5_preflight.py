"""The preflight: each thing that may be amiss has its finding, and each finding what mends it."""

from __future__ import annotations

import pytest

from agents.ue5.connection.discovery import UNREAL, Candidate
from agents.ue5.functions import DESTROY, FUNCTIONS, SET_TRANSFORM
from agents.ue5.preflight import looking
from agents.ue5.preflight.findings import Facts, decide, is_forbidden, summary
from agents.ue5.project.allowance import allowance
from bus.testing import run
from schemas.ue5 import Finding

READY = Facts(address="127.0.0.1:30010", engine="5.6.1-44394996+++UE5+Release-5.6", rate=60.0)


def finding(name: str, facts: Facts) -> Finding:
    (found,) = [each for each in decide(facts).findings if each.name == name]
    return found


def with_facts(**changes: object) -> Facts:
    return Facts(**{**{name: getattr(READY, name) for name in READY.__struct_fields__}, **changes})


def test_an_engine_that_has_all_has_nothing_to_mend() -> None:
    preflight = decide(READY)
    assert preflight.ok
    assert summary(preflight) is None
    assert not any(each.mend for each in preflight.findings)


def test_an_engine_that_does_not_answer_is_asked_nothing_else() -> None:
    preflight = decide(Facts(address="127.0.0.1:30010", unreachable="connection refused"))
    assert [each.name for each in preflight.findings] == ["reachable"]
    mend = preflight.findings[0].mend or ""
    assert "Remote Control API" in mend
    assert "WebControl.StartServer" in mend
    assert "WebControl.EnableServerOnStartup 1" in mend


@pytest.mark.parametrize("version", ["5.3.2-29314046+++UE5", "5.8.0-1", "embedded-panda3d 1.10.16"])
def test_versions_that_the_bridge_is_made_for_are_fine(version: str) -> None:
    assert finding("version", with_facts(engine=version)).ok


@pytest.mark.parametrize("version", ["4.27.2-1", "5.2.1", "5.10.0", "Quake", ""])
def test_other_versions_are_named_with_those_that_it_is_made_for(version: str) -> None:
    found = finding("version", with_facts(engine=version))
    assert not found.ok
    assert "5.3 to 5.8" in (found.mend or "")


def test_an_engine_without_websocket_is_used_by_http_and_says_so() -> None:
    found = finding("websocket", with_facts(no_websocket="refused"))
    assert not found.ok
    assert "HTTP" in found.detail


def test_for_each_function_that_is_refused_the_line_that_allows_it_is_given() -> None:
    refused = {each.name: f"Executing function '{each.name}' is not allowed" for each in (DESTROY, SET_TRANSFORM)}
    found = finding("functions", with_facts(refused=refused))
    assert not found.ok
    assert (found.mend or "").splitlines()[1:] == [allowance(each) for each in FUNCTIONS if each.name in refused]


@pytest.mark.parametrize("code", [401, 403])
def test_an_engine_that_wants_a_passphrase_is_told_one_by_a_setting(code: int) -> None:
    preflight = decide(Facts(address="127.0.0.1:30010", unreachable="forbidden", code=code))
    assert "ue5.passphrase_file" in (summary(preflight) or "")
    assert "StartServer" not in (summary(preflight) or "")


def test_an_editor_that_saves_power_in_the_background_is_told_from_one_that_draws() -> None:
    assert finding("frame_rate", with_facts(rate=10.0)).ok
    found = finding("frame_rate", with_facts(rate=3.0))
    assert "bThrottleCPUWhenNotForeground=False" in (found.mend or "")


def test_no_rate_is_no_finding() -> None:
    assert "frame_rate" not in [each.name for each in decide(with_facts(rate=None)).findings]


def test_a_refusal_for_permission_is_told_from_one_for_another_reason() -> None:
    assert is_forbidden("Executing function 'DestroyActor' is not allowed")
    assert not is_forbidden("Object: /Game/X does not exist.")


UNREAL_THERE = Facts(address="127.0.0.1:30010", engine="5.6.1-1")
LOCKED = Facts(address="127.0.0.1:30010", unreachable="forbidden", code=401)
EMBEDDED = Facts(address="127.0.0.1:41000", engine="embedded-panda3d 1.10.16")
NOBODY = Facts(address="127.0.0.1:30010", unreachable="refused")


@pytest.mark.parametrize(
    ("there", "looked_at"),
    [
        ([UNREAL_THERE, EMBEDDED], UNREAL_THERE),
        ([LOCKED, EMBEDDED], LOCKED),
        ([EMBEDDED, LOCKED], LOCKED),
        ([NOBODY, EMBEDDED], EMBEDDED),
        ([NOBODY], NOBODY),
    ],
)
def test_an_unreal_that_answers_comes_before_an_embedded_engine_and_that_before_nobody(
    there: list[Facts], looked_at: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter(there)

    async def look(place: Candidate, passphrase: str | None) -> Facts:
        return next(found)

    monkeypatch.setattr(looking, "look_from_outside", look)
    assert run(looking.look_around([Candidate(UNREAL)] * len(there), None)) == looked_at
