"""An engine without frames is noticed, and so is its return."""

from __future__ import annotations

from agents.engine.watch import STILL_SECONDS, Watch


def test_an_engine_whose_frames_come_never_stands_still() -> None:
    watch = Watch()

    assert not any(watch.stands_still(frame, frame * STILL_SECONDS / 2) for frame in range(100))


def test_an_engine_stands_still_after_a_while_without_a_frame_and_no_more_with_the_next() -> None:
    watch = Watch()
    seen = [watch.stands_still(7, 100.0), watch.stands_still(7, 99.9 + STILL_SECONDS), watch.stands_still(7, 100.0 + STILL_SECONDS)]

    assert seen == [False, False, True]
    assert not watch.stands_still(8, 101.0 + STILL_SECONDS)
