"""The page in a real browser: what a headset's runtime tracks arrives as it is, and what is lost comes back without a person."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import cv2
import numpy as np
import pytest
from browser import PATIENCE, browsing, headset
from conftest import wait_for
from playwright.sync_api import Browser, Page, expect
from xr_door import Opened, opened

from agents.parts.frames import rotate
from agents.xr.measured import measured
from agents.xr.wire.messages import Begin, Echo, End, Frame, Hello, Rest, Sample, Shown
from schemas import xr

LAYOUT = Path(__file__).parents[2] / "docs" / "xr-wire.md"
HEAD, LEFT, RIGHT = "head", "controller.left", "controller.right"
THUMB = ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")
FINGER = ("metacarpal", "phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")
FINGERS = ("index", "middle", "ring", "pinky")
JOINTS = ["wrist", *(f"thumb-{part}" for part in THUMB), *(f"{name}-finger-{part}" for name in FINGERS for part in FINGER)]
"""In the order of https://www.w3.org/TR/webxr-hand-input-1/#skeleton-joints-section"""
TRUTH = """async (joints) => {
    const session = headset.activeSession, space = await session.requestReferenceSpace("local-floor");
    const frame = await new Promise((resolve) => session.requestAnimationFrame((_, frame) => resolve(measure(frame))));
    function measure(frame) {
        return Object.fromEntries([...session.inputSources].map(({ hand, gripSpace, handedness }) => {
            const spaces = hand ? joints.map((name) => hand.get(name)) : [gripSpace];
            const places = new Float32Array(16 * spaces.length), radii = new Float32Array(spaces.length);
            frame.fillPoses(spaces, space, places);
            if (hand) frame.fillJointRadii(spaces, radii);
            return [handedness, spaces.map((_, at) => ({ place: [...places.slice(16 * at, 16 * at + 16)], radius: radii[at] }))];
        }));
    }
    return frame;
}"""
"""What the runtime itself says of the hands and controllers: a matrix by columns, and a radius."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory) -> str:
    return headset(tmp_path_factory.mktemp("iwer"))


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "keys") as doors:
        yield doors


@pytest.fixture
def bare(browser: Browser, doors: Opened) -> Iterator[Page]:
    """A page of a browser without a headset, closed before the doors. What goes wrong in it fails the test."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE)
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


@pytest.fixture
def page(bare: Page, worn: str, doors: Opened) -> Page:
    """The agent's page, and a headset is on."""
    bare.add_init_script(worn)
    bare.goto(doors.url)
    expect(bare.locator("#connection")).to_have_text("connected")
    return bare


def enter(page: Page, mode: str = "immersive-vr") -> None:
    page.click(f"#{mode}")
    expect(page.locator("#session")).to_have_text(mode)


def leave(page: Page) -> None:
    page.dispatch_event("#leave", "click")  # what the runtime draws covers the page, as a headset's session does


def sample(frame: Frame, device: str) -> Sample:
    return next(sample for sample in frame.samples if sample.device == device)


def assert_there(said: Any, true: dict[str, Any]) -> None:  # Any: a sample or a joint; JSON
    """Something is where the runtime says it is, and turned as it is."""
    matrix = np.reshape(true["place"], (4, 4)).T
    turned = np.transpose([rotate(said.orientation, axis) for axis in np.eye(3)])
    np.testing.assert_allclose(said.position, matrix[:3, 3], atol=1e-6)
    np.testing.assert_allclose(turned, matrix[:3, :3], atol=1e-5)


def test_the_head_arrives_where_it_was_put(page: Page, doors: Opened) -> None:
    page.evaluate("headset.position.set(0.25, 1.75, -0.5); headset.quaternion.set(0, 0.6, 0, 0.8)")
    enter(page)

    head = sample(doors.next_frame(HEAD, LEFT, RIGHT), HEAD)
    assert (head.position, head.tracking) == ((0.25, 1.75, -0.5), "tracked")
    assert head.orientation == pytest.approx((0, 0.6, 0, 0.8), abs=1e-6)


def test_controllers_arrive_with_their_buttons_and_axes(page: Page, doors: Opened) -> None:
    page.evaluate("""() => {
        const { left, right } = headset.controllers;
        left.position.set(-0.5, 1.25, -0.25), left.quaternion.set(0.5, 0.5, 0.5, 0.5), right.position.set(0.5, 1, 0.125);
        left.updateButtonValue("trigger", 0.75), left.updateButtonValue("x-button", 1), left.updateButtonTouch("thumbrest", true);
        right.updateAxes("thumbstick", 0.5, -0.25);
    }""")
    enter(page)
    true = page.evaluate(TRUTH, JOINTS)

    frame = doors.next_frame(HEAD, LEFT, RIGHT)
    left, right = sample(frame, LEFT), sample(frame, RIGHT)
    assert_there(left, true["left"][0])
    assert_there(right, true["right"][0])
    assert [button.value for button in left.buttons] == [0.75, 0, 0, 0, 1, 0, 0]
    assert [number for number, button in enumerate(left.buttons) if button.touched and not button.pressed] == [6]
    assert [number for number, button in enumerate(left.buttons) if button.pressed] == [0, 4]
    assert (left.axes, right.axes) == ((0, 0, 0, 0), (0, 0, 0.5, -0.25))


def test_both_hands_arrive_with_all_their_joints(page: Page, doors: Opened) -> None:
    page.evaluate("""() => {
        headset.primaryInputMode = "hand";
        headset.hands.left.position.set(-0.25, 1.25, -0.5), headset.hands.left.quaternion.set(0, 0.6, 0, 0.8);
        headset.hands.right.position.set(0.25, 1, -0.5), headset.hands.right.updatePinchValue(1);
    }""")
    enter(page)
    true = page.evaluate(TRUTH, JOINTS)

    frame = doors.next_frame(HEAD, "hand.left", "hand.right")
    for side in ("left", "right"):
        hand = sample(frame, f"hand.{side}")
        assert (hand.position, hand.orientation) == (hand.joints[0].position, hand.joints[0].orientation)
        for joint, expected in zip(hand.joints, true[side], strict=True):
            assert_there(joint, expected)
            assert joint.radius == expected["radius"] > 0


def test_a_device_that_is_not_tracked_is_not_in_the_frames(page: Page, doors: Opened) -> None:
    enter(page)
    doors.next_frame(HEAD, LEFT, RIGHT)

    page.evaluate("headset.controllers.left.connected = false")
    doors.next_frame(HEAD, RIGHT)


def test_frames_arrive_in_order_at_more_than_thirty_a_second(page: Page, doors: Opened) -> None:
    enter(page)
    doors.wait(Frame, 60)

    frames = doors.all(Frame)
    assert [frame.sequence for frame in frames] == list(range(1, len(frames) + 1))
    assert all(before.sampled < after.sampled and before.sent <= after.sent for before, after in pairwise(frames))
    assert all(frame.sampled <= frame.sent for frame in frames)
    assert statistics.median(after.sampled - before.sampled for before, after in pairwise(frames)) < 1000 / 30


def test_a_session_is_told_from_its_beginning_to_its_end(page: Page, doors: Opened) -> None:
    enter(page, "immersive-ar")
    begun, hello = doors.wait(Begin), doors.wait(Hello)
    assert hello.kind == "poses"
    assert (begun.mode, begun.native, begun.space, begun.rate) == ("immersive-ar", False, "local-floor", 90)
    assert begun.profiles == ["meta-quest-touch-plus"] * 2

    leave(page)
    assert doors.wait(End) == End(session=begun.session, reason="its page was asked to end it")
    enter(page)
    again = doors.wait(Begin, 2)  # it is told with the first frame
    page.evaluate("headset.activeSession.end()")
    assert doors.wait(End, 2) == End(session=again.session, reason="the headset or its browser has ended it")


def test_a_headset_that_is_put_down_rests_and_goes_on_when_it_is_worn(page: Page, doors: Opened) -> None:
    enter(page)
    doors.wait(Frame, 5)

    page.evaluate("headset.updateVisibilityState('hidden')")
    assert doors.wait(Rest) == Rest(session=doors.wait(Begin).session, visibility="hidden")
    rested = doors.heard.index(doors.wait(Rest))
    page.wait_for_timeout(200)
    assert not [message for message in doors.heard[rested:] if isinstance(message, Frame)]
    page.evaluate("headset.updateVisibilityState('visible')")
    doors.next_frame(HEAD, LEFT, RIGHT)


def test_the_sender_on_the_page_of_the_layout_is_understood(doors: Opened) -> None:
    code = dedent(LAYOUT.read_text().partition("## A small sender")[2]).replace("ws://127.0.0.1:8480", doors.url.replace("http", "ws"))
    for _ in range(2):
        exec(compile(code, str(LAYOUT), "exec"), {})

    ends, frames = [doors.wait(End, 2), *doors.all(End)], doors.all(Frame)
    assert doors.wait(Echo).number == 1
    assert [frame.sequence for frame in frames] == [*range(1, 91)] * 2
    assert frames[-1].samples[0].position == pytest.approx((0, 1.6, -1))
    assert len({hello.page for hello in doors.all(Hello)}) == 2, "who is the same page begins no sequence anew"
    assert [begun.session for begun in doors.all(Begin)] == [ended.session for ended in ends[1:]]


def test_the_page_measures_round_trips_quickly_at_first(page: Page, doors: Opened) -> None:
    doors.wait(Echo, 10)

    assert [echo.number for echo in doors.all(Echo)] == list(range(1, len(doors.all(Echo)) + 1))
    assert all(echo.asked <= echo.answered and echo.received <= echo.sent for echo in doors.all(Echo))
    expect(page.locator("#clock")).to_contain_text("within")


def test_a_page_that_is_loaded_again_goes_on_by_itself(page: Page, doors: Opened) -> None:
    enter(page)
    doors.wait(Frame, 5)

    page.reload()
    doors.wait(Begin, 2)
    first, second = doors.all(Hello)
    assert first.page != second.page
    assert doors.wait(End).reason == "its page was left"
    doors.next_frame(HEAD, LEFT, RIGHT)


def test_after_its_end_a_session_is_not_taken_up_again(page: Page, doors: Opened) -> None:
    enter(page)
    leave(page)

    page.reload()
    doors.wait(Hello, 2)
    expect(page.locator("#webxr")).to_contain_text("immersive-vr")
    expect(page.locator("#session")).to_have_text("none")


def test_a_page_finds_an_agent_again_that_was_away_and_its_session_goes_on(page: Page, doors: Opened) -> None:
    enter(page)
    doors.wait(Frame, 5)

    doors.close()
    expect(page.locator("#connection")).to_contain_text("away")
    away = doors.all(Frame)[-1].sequence
    page.wait_for_timeout(300)
    doors.open()
    doors.wait(Begin, 2)
    doors.next_frame(HEAD, LEFT, RIGHT)
    assert len({hello.page for hello in doors.all(Hello)}) == len({begun.session for begun in doors.all(Begin)}) == 1
    sequences = [frame.sequence for frame in doors.all(Frame)]
    assert sequences == sorted(set(sequences))
    assert sequences[sequences.index(away) + 1] > away + 1, "what was seen meanwhile is not sent afterwards"


def test_an_end_that_nobody_heard_is_told_when_the_agent_is_there_again(page: Page, doors: Opened) -> None:
    enter(page)
    doors.wait(Frame, 5)

    doors.close()
    expect(page.locator("#connection")).to_contain_text("away")
    leave(page)
    doors.open()
    assert doors.wait(End).session == doors.wait(Begin).session


def test_a_session_that_could_not_be_told_at_once_is_told_before_its_next_frame(bare: Page, worn: str, doors: Opened) -> None:
    bare.add_init_script(worn)
    bare.add_init_script("Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => globalThis.backlog })")
    bare.goto(doors.url)
    expect(bare.locator("#connection")).to_have_text("connected")
    bare.evaluate("backlog = 1e6")
    enter(bare)
    expect(bare.locator("#tracked")).to_contain_text(HEAD)

    bare.evaluate("backlog = 0")
    doors.wait(Frame)
    kinds = [type(message) for message in doors.heard]
    assert Begin in kinds[: kinds.index(Frame)]


def test_a_page_that_is_refused_for_what_it_says_says_why_and_does_not_come_again(bare: Page, doors: Opened) -> None:
    bare.add_init_script("""(() => {
        const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function (data) { send.call(this, typeof data === "string" ? data : new Uint8Array([9, 1])); };
    })()""")
    bare.goto(doors.url)
    expect(bare.locator("#connection")).to_contain_text("a message of kind 9")
    bare.wait_for_timeout(600)

    assert len(doors.all(Hello)) == 1
    expect(bare.locator("#connection")).to_contain_text("load it anew")


def test_an_agent_that_lets_a_page_in_and_says_nothing_is_asked_less_and_less_often(bare: Page, doors: Opened) -> None:
    bare.add_init_script("""globalThis.tries = []; globalThis.WebSocket = class extends WebSocket {
        constructor(address) {
            super(address);
            tries.push(performance.now());
            this.addEventListener("open", () => setTimeout(() => this.onclose({ code: 1011, reason: "it has failed" })));
        }
    }""")
    doors.deaf = True
    bare.goto(doors.url)
    wait_for(lambda: bare.evaluate("tries.length") > 5, "six tries", PATIENCE / 1000)

    pauses = [after - before for before, after in pairwise(bare.evaluate("tries"))]
    assert min(pauses[3:]) > 400


@pytest.mark.slow
def test_a_connection_that_says_nothing_more_is_given_up_and_made_anew(page: Page, doors: Opened) -> None:
    doors.deaf = True
    doors.wait(Hello, 2)

    doors.deaf = False
    enter(page)
    doors.wait(Begin)
    assert len({hello.page for hello in doors.all(Hello)}) == 1


def test_the_browser_s_own_webxr_is_called_native(bare: Page, doors: Opened) -> None:
    bare.goto(doors.url)
    expect(bare.locator("#immersive-vr-reason")).to_have_text("there is no headset that can do this")
    expect(bare.locator("#immersive-vr")).to_be_disabled()
    enter(bare, "inline")

    begun = doors.wait(Begin)
    assert (begun.mode, begun.native, begun.space) == ("inline", True, "viewer")
    assert [sample.tracking for sample in doors.next_frame(HEAD).samples] == ["emulated"]


def test_a_code_pairs_one_browser_once_and_leaves_its_address(bare: Page, browser: Browser, doors: Opened) -> None:
    pairing = doors.pair()
    bare.goto(pairing.url)
    expect(bare.locator("#pairing")).to_have_text("this browser is paired")
    expect(bare.locator("#connection")).to_have_text("connected")
    assert bare.url == pairing.url.partition("#")[0]

    with browser.new_context(ignore_https_errors=True) as another:
        stranger = another.new_page()
        stranger.goto(pairing.url)
        expect(stranger.locator("#pairing")).to_contain_text("was used before")
        expect(stranger.locator("#connection")).to_contain_text("not paired")


def test_the_overlay_s_page_shows_pictures_and_says_when(bare: Page, doors: Opened) -> None:
    doors.picture = cv2.imencode(".jpg", np.full((90, 160, 3), (20, 120, 240), np.uint8))[1].tobytes()
    bare.goto(f"{doors.url}/overlay")

    doors.wait(Shown, 5)
    shown = doors.all(Shown)
    assert doors.wait(Hello).kind == "overlay"
    assert all(before.sequence < after.sequence and before.shown < after.shown for before, after in pairwise(shown))
    pixel = bare.evaluate("[...document.getElementById('overlay').getContext('2d').getImageData(80, 45, 1, 1).data]")
    assert pixel[:3] == pytest.approx([240, 120, 20], abs=4)


def test_the_overlay_s_page_says_what_is_measured(bare: Page, doors: Opened) -> None:
    bare.goto(f"{doors.url}/overlay")
    expect(bare.locator("#delay")).to_have_text("not measured")
    latency = xr.Latency(origin="webxr", stages=[], horizon=0.03, motion_to_photon=xr.Span(count=9, p50=0.0425, p95=0.06, p99=0.07))
    doors.figures = measured(latency, {"head": 90.0}, 0.375)

    expect(bare.locator("#delay")).to_have_text("42.5 ms (median)")
    expect(bare.locator("#error")).to_have_text("0.38 pixels")


def test_the_overlay_s_page_says_how_to_turn_the_overlay_on_and_asks_now_and_then(bare: Page, doors: Opened) -> None:
    bare.goto(f"{doors.url}/overlay")
    expect(bare.locator("#pictures")).to_contain_text("bus call xr.overlay")
    bare.wait_for_timeout(1000)
    assert "bus call xr.overlay" in bare.locator("#pictures").inner_text()
    assert doors.viewers == 1

    doors.picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    expect(bare.locator("#pictures")).to_have_text("they come")
    doors.picture = None
    expect(bare.locator("#pictures")).to_contain_text("bus call xr.overlay")


def test_a_picture_that_stands_still_because_the_agent_is_silent_is_not_said_to_come(bare: Page, doors: Opened) -> None:
    doors.picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    bare.goto(f"{doors.url}/overlay")
    expect(bare.locator("#pictures")).to_have_text("they come")

    doors.deaf = doors.stuck = True
    expect(bare.locator("#pictures")).not_to_have_text("they come")
    doors.deaf = doors.stuck = False
    expect(bare.locator("#pictures")).to_have_text("they come")


def test_the_overlay_s_page_asks_for_figures_one_at_a_time_and_not_for_ever(bare: Page, doors: Opened) -> None:
    asked, given_up = list[str](), list[str]()
    bare.route("**/metrics", lambda route: asked.append(route.request.url))
    bare.on("requestfailed", lambda request: given_up.append(request.url) if request.url.endswith("/metrics") else None)
    bare.goto(f"{doors.url}/overlay")
    bare.wait_for_timeout(1500)
    assert len(asked) == 1
    wait_for(lambda: bare.wait_for_timeout(100) or given_up, "a request that is given up")


def test_the_overlay_s_page_finds_an_agent_again_that_was_away(bare: Page, doors: Opened) -> None:
    doors.picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    bare.goto(f"{doors.url}/overlay")
    doors.wait(Shown, 3)

    doors.close()
    expect(bare.locator("#connection")).to_contain_text("away")
    before = len(doors.all(Shown))
    doors.open()
    wait_for(lambda: len(doors.all(Shown)) > before, "a picture after the agent came back")


def test_a_picture_that_is_none_is_said_and_the_next_is_shown(bare: Page, doors: Opened) -> None:
    doors.picture = b"no picture"
    bare.goto(f"{doors.url}/overlay")
    expect(bare.locator("#pictures")).to_contain_text("cannot be drawn")

    doors.picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    doors.wait(Shown)
