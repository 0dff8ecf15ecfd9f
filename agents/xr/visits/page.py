"""A page that sends poses, over all its connections: its clock, and its session. What is told twice or late is taken once, in order."""

from __future__ import annotations

from agents.xr.observation import Observation
from agents.xr.timing.clock import JUMP, Clock
from agents.xr.timing.pace import Pace
from agents.xr.tracking.presence import PATIENCE
from agents.xr.tracking.tracker import Publish, Tracker
from agents.xr.visits.session import Session
from agents.xr.wire.messages import Begin, Echo, Frame, Hello, Sample
from schemas import xr

FAR = 10_000_000_000
"""In ns: what a page says of this machine's time is no older than that."""
AHEAD = round(JUMP * 1e9)
"""In ns: by so much a frame may be ahead of when it came. A page's clock is known no better at first, and some headsets look ahead."""
NOT_SEEN = "the headset does not track it"


class Page:
    """What `hello` named, with its `clock`, and the `session` that it has; None: none now. Sequence and time of its frames only rise.

    `connection` counts its connections: only the newest is listened to. `left` is when that was lost, in ns, and why; None: it is there.
    `starts` is how often sessions may start, each of which is an event that is kept. `received` is by the time of day; `now` is by a clock
    that nobody sets. Both are in ns.
    """

    def __init__(self, hello: Hello, tracker: Tracker, publish: Publish, starts: Pace) -> None:
        self.hello = hello
        self.clock = Clock()
        self.session: Session | None = None
        self.connection = 0
        self.left: tuple[int, str] | None = None
        self._tracker = tracker
        self._publish = publish
        self._starts = starts
        self._asked: Begin | None = None
        self._sequence = -1
        self._sampled = -1.0

    def connect(self) -> int:
        """The page is there, or there again; returns the number of the connection."""
        self.left = None
        self.connection += 1
        return self.connection

    def begin(self, begin: Begin, now: int) -> None:
        """A session has begun; the one that goes on after a reconnect is the same. A page of the overlay has none."""
        if self.hello.kind == "overlay" or (self.session is not None and self.session.begin.session == begin.session):
            return
        self.finish("another session has begun", now)
        self._asked = begin
        self.start(now)

    def start(self, now: int) -> None:
        """The session that the page has begun, if it waits for its turn and this is it."""
        if self._asked is None or not self._starts.allows(now):
            return
        self._starts.count(now)
        self.session = Session(self.hello.page, self.hello.user_agent, self._asked, now)
        self._asked = None
        self._publish(xr.STARTED, self.session.started)

    def end(self, session: str, reason: str, now: int) -> None:
        """The session of that name is over, where it is the one that the page has, or that waits for its turn."""
        begun = self._asked if self.session is None else self.session.begin
        if begun is not None and begun.session == session:
            self.finish(reason, now)

    def rest(self, session: str, reason: str) -> None:
        """Of the session of that name nothing is tracked until the next frame."""
        if self.session is not None and self.session.begin.session == session:
            self._tracker.rest(self.session.source, reason)

    def finish(self, reason: str, now: int) -> None:
        """The session, if there is one, is over."""
        self._asked = None
        if self.session is None:
            return
        self._tracker.rest(self.session.source, reason)
        self._publish(xr.ENDED, self.session.ended(reason, now))
        self.session = None

    def echo(self, echo: Echo, received: int) -> None:
        """A round trip. What the page says of this machine's clock is what it was told a moment ago, or is made up."""
        if 0 <= received - echo.sent <= FAR:
            self.clock.trip(echo.asked, echo.received, echo.sent, echo.answered)

    def frame(self, frame: Frame, received: int) -> None:
        """A frame of the session; counted as late where it is not newer than the last, not of this moment, or nobody knows when it was."""
        if self.session is None:
            return
        self.clock.heard(frame.sent, received)
        sampled = self.clock.to_host(frame.sampled)
        if sampled is None or not -AHEAD <= received - sampled <= PATIENCE or not self._is_next(frame):
            self.session.late += 1
            return
        self._sequence, self._sampled = frame.sequence, frame.sampled
        self.session.frames += 1
        for sample in frame.samples:
            self._tracker.take(self._observation(self.session, frame, sample, sampled, received))
        self._tracker.only(self.session.source, frozenset(sample.device for sample in frame.samples), NOT_SEEN)

    def _is_next(self, frame: Frame) -> bool:
        """By the page's own clock, which nobody sets."""
        return frame.sequence > self._sequence and frame.sampled > self._sampled

    def _observation(self, session: Session, frame: Frame, sample: Sample, sampled: int, received: int) -> Observation:
        return Observation(
            source=session.source,
            device=sample.device,
            sequence=frame.sequence,
            sampled=sampled,
            received=received,
            position=sample.position,
            orientation=sample.orientation,
            tracking=sample.tracking,
            sent=self.clock.to_host(frame.sent),
            uncertainty=self.clock.uncertainty(frame.sampled),
            linear_velocity=sample.linear_velocity,
            angular_velocity=sample.angular_velocity,
            joints=sample.joints,
            buttons=sample.buttons,
            axes=sample.axes,
        )
