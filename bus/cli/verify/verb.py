"""`bus verify`: whether log and artifacts are what they say they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.exits import FAILED
from bus.cli.options import Json
from bus.cli.output import json_text, printable, say, warn
from bus.cli.verify.examine import Examination, examine
from bus.errors import BusError
from bus.home import find_home

REPORT = Path("reports") / "compliance.md"
"""Relative to `artifacts/`."""


def verify(
    report: Annotated[bool, typer.Option("--report", help="Also write artifacts/reports/compliance.md.")] = False,
    json: Json = False,
) -> None:
    """Check the log and every artifact against what they say of themselves.

    Checksums of every segment; every durable event there once and in order; every artifact against its hash and the events that made
    it. Reads files alone: neither hub nor recorder need to run. Exit code 0 where all holds; 1 with a line for each thing that does not.

    \b
    bus verify
    bus verify --report --json
    """
    artifacts = find_home().artifacts
    found = examine(artifacts)
    if not found.layout.segments and not found.lineage.artifacts and not found.findings:
        raise BusError(f"{artifacts} has no log and no artifact: nothing to verify")
    for finding in found.findings:
        say(json_text(finding) if json else printable(str(finding)))
    if report:
        _write(artifacts / REPORT, found)
    say(json_text(_summary(found)) if json else _sentence(found))
    if found.findings:
        raise typer.Exit(FAILED)


def _summary(found: Examination) -> dict[str, object]:
    return {
        "kind": "summary", "holds": not found.findings, "findings": len(found.findings), "segments": len(found.layout.segments),
        "events": found.story.topics.total(), "streams": len(found.streams.positions), "artifacts": len(found.lineage.artifacts),
        "runs": len(found.lineage.runs), "expired": found.layout.expired,
    }  # fmt: skip


def _sentence(found: Examination) -> str:
    summary = _summary(found)
    seen = ", ".join(f"{summary[name]} {name}" for name in ("segments", "events", "streams", "artifacts", "runs"))
    expired = f", {summary['expired']} events expired" if summary["expired"] else ""
    return f"{'all holds' if summary['holds'] else f'{len(found.findings)} findings'}: {seen}{expired}"


def _write(path: Path, found: Examination) -> None:
    from bus.cli.verify.report import report as text

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text(found, datetime.now(UTC)))
    temporary.replace(path)
    warn(f"written: {path}")
