"""compliance.md: what ran, on which device, what was real, what it made, and what could not be verified, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bus.cli.output import printable
from bus.cli.verify.examine import Examination
from schemas import train

_NONE = "None.\n"


def report(found: Examination, made: datetime) -> str:
    """The whole text. But for its second line it follows from log and store alone."""
    return "\n".join((f"# What ran here\n\nWritten by `bus verify --report` at {_iso(made)}.\n", *_sections(found)))


def _sections(found: Examination) -> Iterator[str]:
    yield f"## Verdict\n\n{_verdict(found)}"
    yield f"## Log\n\n{_log(found)}"
    yield f"## Agents\n\n{_agents(found)}"
    yield f"## What was real, simulated, recorded or unavailable\n\n{_parts(found)}"
    yield f"## Runs\n\n{_runs(found)}"
    yield f"## Artifacts\n\n{_artifacts(found)}"
    yield f"## What retention took\n\n{_expired(found)}"
    yield f"## What could not be verified, and why\n\n{_unverified(found)}"


def _verdict(found: Examination) -> str:
    if not found.findings:
        return "Everything that can be verified holds.\n"
    rows = [(finding.kind, finding.where, finding.what, finding.mend) for finding in found.findings]
    return f"{len(rows)} things do not hold.\n\n{_table(('kind', 'where', 'what', 'what to do'), rows)}"


def _log(found: Examination) -> str:
    story = found.story
    if not story.first:
        return "The log is empty.\n"
    span = f"From {_time(story.first)} to {_time(story.last)}, by receipt."
    segments = found.layout.segments
    size = sum(segment.bytes for segment in segments)
    counts = f"{story.topics.total()} events in {len(segments)} segments, {size} bytes; {len(found.streams.positions)} durable streams."
    replays = [f"\n{count} of them were published again by {source}." for source, count in sorted(story.replays.items())]
    return f"{span}\n{counts}{''.join(replays)}\n\n{_table(('topic', 'events'), sorted(story.topics.items()))}"


def _agents(found: Examination) -> str:
    rows = [(agent.source, count, _versions(agent.versions)) for agent, count in found.story.agents.items()]
    return _table(("agent", "starts", "versions"), sorted(rows))


def _parts(found: Examination) -> str:
    return _table(
        ("agent", "part", "kind", "detail"), sorted({(agent.source, *part) for agent in found.story.agents for part in agent.parts})
    )


def _runs(found: Examination) -> str:
    rows = []
    for run, event in found.lineage.runs.items():
        data, hyper = event.data, event.data.hyperparameters
        made = f"{hyper.recipe}, {hyper.steps} steps, seed {hyper.seed}"
        dataset = f"{data.dataset.hash} ({data.dataset.path})"
        rows.append(
            (run, _outcome(found, run), made, data.device, dataset, _versions(sorted(data.versions.items())), data.git_commit or "")
        )
    return _table(("run", "outcome", "recipe", "device", "dataset", "versions", "commit"), rows)


def _outcome(found: Examination, run: str) -> str:
    end = found.lineage.ends.get(run)
    match end.data if end is not None else None:
        case train.RunCompleted(outcome=outcome, steps=steps, loss=loss):
            return f"{outcome} after {steps} steps, loss {'unknown' if loss is None else f'{loss:.5g}'}"
        case train.RunFailed(step=step, error=error):
            return f"failed at step {step}: {error}"
    return "the log has no end of it"


def _artifacts(found: Examination) -> str:
    rows = []
    for place, event in found.lineage.artifacts.items():
        holds = "no" if place in found.lineage.broken else "removed" if place in found.lineage.removed else "yes"
        parents = ", ".join(parent[:12] for parent in event.data.parents)
        rows.append((event.data.hash, event.data.kind, event.data.size, event.run or "", parents, event.data.path, event.id, holds))
    return _table(("SHA-256", "kind", "bytes", "run", "made from", "path", "event", "verified"), rows)


def _expired(found: Examination) -> str:
    rows = [(segment.path.name, topic, count) for segment in found.layout.segments for topic, count in sorted(segment.expired.items())]
    return _table(("segment", "topic", "events"), rows)


def _unverified(found: Examination) -> str:
    """The limits of what a log can say of itself; nothing of this is a failure."""
    story = found.story
    unpromised = sorted(story.unpromised.items())
    lines = [
        f"Whether all {kind} are there ({count} are): they are sent once, and what is lost is not sent again." for kind, count in unpromised
    ]
    datasets = sorted({event.data.dataset.hash for event in found.lineage.runs.values()})
    lines += [f"The dataset {digest}: it is known by its hash and lies outside the store." for digest in datasets]
    unfinished = [run for run in found.lineage.runs if run not in found.lineage.ends]
    lines += [f"How {run} ended: the log has no end of it." for run in unfinished]
    lines += [
        f"{segment.path.name} is still open: its last events may not be synced."
        for segment in found.layout.segments
        if segment.state == "open"
    ]
    lines.append("Whether newer segments than the last were removed: nothing in a log says what came after it.")
    return "".join(f"- {_cell(line)}\n" for line in lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(_cell(value) for value in row)} |\n" for row in rows]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}" if lines else _NONE


def _cell(value: object) -> str:
    """Text from the bus as text: nothing in it is markup, a column or a new line."""
    text = printable(str(value))
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#" else character for character in text)


def _versions(versions: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions)


def _time(nanoseconds: int) -> str:
    return _iso(datetime.fromtimestamp(nanoseconds / 1e9, UTC))


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
