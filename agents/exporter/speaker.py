"""Writes text with the models that are in place; the one that was asked last stays in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agents.exporter.names import ENCODER, EXPORTS, FOLDER
from bus.agent import Publish
from bus.errors import CommandRefused
from schemas import export

if TYPE_CHECKING:
    from agents.parts.generation.text import Request, TextModel, Written

LONGEST = 100_000
"""Tokens of one text at most."""
POLL, PACE, IDLE = 0.1, 0.05, 600.0
"""Seconds: between two looks at whether somebody still waits, between two pieces of a streamed text, and until an unused model goes."""


@dataclass(slots=True)
class Speaker:
    """Safe from any thread: one text is written after the other."""

    artifacts: Path
    publish: Publish
    closed: bool = False
    _model: TextModel | None = None
    _folder: Path | None = None
    _used: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """End the text that is being written, and write no other."""
        self.closed = True

    def rest(self) -> None:
        """Let the model go that nobody has asked for some time."""
        if time.monotonic() - self._used > IDLE and self._lock.acquire(blocking=False):
            self._model = self._folder = None
            self._lock.release()

    def write(self, request: export.Generate, cancelled: threading.Event) -> export.Generated:
        """The whole text. Raises CommandRefused for what cannot be written, and where it is `cancelled` or the agent ends meanwhile."""
        from agents.parts.external_data import BadModel
        from agents.parts.generation.errors import BadRequest  # onnxruntime and its kin: not for who only waits for runs

        self._await_turn(cancelled)
        try:
            self._check(cancelled)
            folder = self._chosen(request.recipe)
            return self._written(self._opened(folder), folder, request, cancelled)
        except BadRequest as error:
            raise CommandRefused("bad_request", str(error)) from error
        except BadModel as error:
            raise CommandRefused("bad_model", str(error)) from error
        finally:
            self._used = time.monotonic()
            self._lock.release()

    def _await_turn(self, cancelled: threading.Event) -> None:
        while not self._lock.acquire(timeout=POLL):
            self._check(cancelled)

    def _check(self, cancelled: threading.Event) -> None:
        if self.closed or cancelled.is_set():
            raise CommandRefused("closing", "nobody waits for the text any more")

    def _chosen(self, recipe: str | None) -> Path:
        """The newest export of `recipe`, or of all that write text."""
        exports = (self.artifacts / FOLDER / EXPORTS).resolve()
        links = [link for link in (self.artifacts / FOLDER).glob("[!.]*") if link.is_symlink() and recipe in (None, link.name)]
        links = [link for link in links if link.resolve().parent == exports and (recipe or not (link / ENCODER).exists())]
        if not links:
            which = f"of {recipe} " if recipe else ""
            wait = "wait for an export.completed, or ask with exporter.export"
            raise CommandRefused("no_model", f"no model {which}that writes text is in place: {wait}")
        return max(links, key=lambda link: link.lstat().st_mtime_ns).resolve()

    def _opened(self, folder: Path) -> TextModel:
        from agents.parts.generation.text import TextModel

        if self._model is None or self._folder != folder:
            self._model = None  # before another one takes its memory
            self._model, self._folder = TextModel.open(folder), folder
        return self._model

    def _written(self, model: TextModel, folder: Path, request: export.Generate, cancelled: threading.Event) -> export.Generated:
        writing = model.write(_request(request))
        pieces = Pieces(request.stream, self.publish)
        for piece in writing:
            self._check(cancelled)
            pieces.add(piece)
        pieces.flush()
        return _generated(writing.written, folder.relative_to(self.artifacts.resolve()))


@dataclass(slots=True)
class Pieces:
    """Publishes a text as it is written, as much at once as came in PACE seconds; nothing where its stream has no name."""

    stream: str | None
    publish: Publish
    _text: str = ""
    _index: int = 0
    _last: float = 0.0

    def add(self, piece: str) -> None:
        self._text += piece
        if time.monotonic() - self._last >= PACE:
            self.flush()

    def flush(self) -> None:
        if self.stream is not None and self._text:
            self.publish(export.TEXT, export.Text(stream=self.stream, index=self._index, text=self._text))
            self._index += 1
        self._text, self._last = "", time.monotonic()


def _request(request: export.Generate) -> Request:
    """Raises BadRequest."""
    from agents.parts.generation.sampling import Sampling
    from agents.parts.generation.text import Request

    if request.length > LONGEST:
        raise CommandRefused("bad_request", f"length is {request.length}: want 1 to {LONGEST}")
    sampling = Sampling(temperature=request.temperature, top_p=request.top_p, seed=request.seed)
    return Request(prompt=request.prompt, length=request.length, sampling=sampling, stops=request.stop)


def _generated(written: Written, folder: Path) -> export.Generated:
    return export.Generated(
        text=written.text,
        finish=written.finish,
        prompt_tokens=written.prompt_tokens,
        tokens=written.tokens,
        first_token_seconds=written.first_token_seconds,
        tokens_per_second=written.tokens_per_second,
        model=str(folder),
    )
