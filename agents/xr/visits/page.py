"""A page that sends poses, over all its connections: its clock, and its session. What is told twice or late is taken once, in order."""

from __future__ import annotations

from agents.xr.observation import Observation
from agents.xr.timing.clock import Clock
from agents.xr.tracking.tracker import Publish, Tracker
from agents.xr.visits.session import Session
from agents.xr.wire.messages import Begin, Echo, Frame, Hello, Sample
from schemas import xr

FAR = 10_000_000_000
"""In ns: what a page says of a time that is further from now is none of this moment."""
NOT_SEEN = "the headset does not track it"


class Page:
    """What `hello` named, with its `clock`, and the `session` that it has; None: none now. Sequence and time of its frames only rise.

    `connection` counts its connections: only the newest is listened to. `left` is when that was lost, in ns, and why; None: it is there.
    """

    def __init__(self, hello: Hello, tracker: Tracker, publish: Publish) -> None:
        self.hello = hello
        self.clock = Clock()
        self.session: Session | None = None
        self.connection = 0
        self.left: tuple[int, str] | None = None
        self._tracker = tracker
        self._publish = publish
        self._sequence = -1
        self._sampled = -1.0

    def connect(self) -> int:
        """The page is there, or there again; returns the number of the connection."""
        self.left = None
        self.connection += 1
        return self.connection

    def begin(self, begin: Begin, now: int) -> None:
        """A session has begun; the one that goes on after a reconnect is the same."""
        if self.session is not None and self.session.begin.session == begin.session:
            return
        self.finish("another session has begun", now)
        self.session = Session(self.hello.page, self.hello.user_agent, begin, now)
        self._publish(xr.STARTED, self.session.started)

    def end(self, session: str, reason: str, now: int) -> None:
        """The session of that name is over, where it is the one that the page has."""
        if self.session is not None and self.session.begin.session == session:
            self.finish(reason, now)

    def rest(self, session: str, reason: str) -> None:
        """Of the session of that name nothing is tracked until the next frame."""
        if self.session is not None and self.session.begin.session == session:
            self._tracker.rest(self.session.source, reason)

    def finish(self, reason: str, now: int) -> None:
        """The session, if there is one, is over."""
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
        """A frame of the session; counted as late where it is not newer than the last, or nobody knows yet when it was."""
        if self.session is None:
            return
        self.clock.heard(frame.sent, received)
        sampled = self.clock.to_host(frame.sampled)
        if sampled is None or abs(received - sampled) > FAR or not self._is_next(frame):
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
