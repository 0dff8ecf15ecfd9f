"""Where a benchmark's figures go, with the machine that they were measured on."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import msgspec
import psutil

FOLDER = Path(__file__).parent / "results"

Figures = dict[str, float | int | str | None]


def report(name: str, rows: list[Figures]) -> None:
    """Print the rows as a table and write them to results/`name`.json."""
    columns = list(rows[0])
    cells = [columns, *[[_text(row[column]) for column in columns] for row in rows]]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        sys.stdout.write("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + "\n")
    FOLDER.mkdir(exist_ok=True)
    content = msgspec.json.encode({"machine": machine(), "rows": rows})
    (FOLDER / f"{name}.json").write_bytes(msgspec.json.format(content, indent=2) + b"\n")


def machine() -> Figures:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _text(value: float | int | str | None) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
