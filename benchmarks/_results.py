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
    show(rows)
    FOLDER.mkdir(exist_ok=True)
    save(FOLDER / f"{name}.json", rows=rows)


def show(rows: list[Figures]) -> None:
    """Print the rows as a table: text to the left, figures to the right."""
    columns = list(rows[0])
    cells = [columns, *[[_text(row[column]) for column in columns] for row in rows]]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    texts = [isinstance(rows[0][column], str) for column in columns]
    for line in cells:
        aligned = (cell.ljust(width) if text else cell.rjust(width) for cell, width, text in zip(line, widths, texts, strict=True))
        sys.stdout.write("  ".join(aligned).rstrip() + "\n")


def save(path: Path, **tables: object) -> None:
    """Write the tables, and the machine that they were measured on, as JSON."""
    content = msgspec.json.encode({"machine": machine(), **tables})
    path.write_bytes(msgspec.json.format(content, indent=2) + b"\n")


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
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value
