"""What exporting a large model takes, beside a copy of its weights: `./dev bench export`. `--quick` shows with `tiny` that it works.

The weights are random, from a seed, and written shard by shard in bfloat16: an export takes as long and as much memory whatever they
say. Each part is a process of its own, whose peak memory is what the kernel says of it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from agents.parts.recipes import RECIPES
from benchmarks._results import FOLDER, Figures, save, show
from benchmarks.exporters.job import SEED, Done, Job
from schemas.export import Precision

PRECISIONS: tuple[Precision, ...] = ("bfloat16", "int8", "int4")
RUN: Precision = "int4"
PATIENCE = 3600.0
"""Seconds for one part."""


class PartFailed(RuntimeError):
    """A part of the benchmark did not end as it should; the message says how."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small model")
    parser.add_argument("--folder", type=Path, help="where the files lie meanwhile (default: below /tmp); llm_8B needs 45 GB")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/export.json)")
    options = parser.parse_args()
    output = options.output or FOLDER / ("export-quick.json" if options.quick else "export.json")
    with tempfile.TemporaryDirectory(prefix="zp-export-", dir=options.folder) as folder:
        measure("tiny" if options.quick else "llm_8B", Path(folder), output)


def measure(recipe: str, folder: Path, output: Path) -> None:
    """Run every part, print the table, and write it to `output`."""
    source, copied = folder / "source", folder / "copy"
    source.mkdir()
    rows = [_row("draw the weights", _part("draw", recipe, source, source))]
    rows.append(_row("copy them", _part("copy", recipe, source, copied)))
    shutil.rmtree(copied)
    for precision in PRECISIONS:
        target = folder / precision
        rows.append(_row(f"export as {precision}", _part("export", recipe, source, target, precision), rows[1]))
        if precision == RUN:
            rows.append(_row(f"run the {precision}", _part("run", recipe, source, target, precision)))
        shutil.rmtree(target)
    show(rows)
    output.parent.mkdir(exist_ok=True)
    save(output, rows=rows, recipe=recipe, parameters=RECIPES[recipe].parameters, weights=f"random, seed {SEED}")


def _part(part: str, recipe: str, source: Path, target: Path, precision: Precision = "bfloat16") -> Done:
    """Raises PartFailed."""
    target.mkdir(exist_ok=True)
    sys.stderr.write(f"{part} {recipe} {precision}\n")
    job = msgspec.json.encode(Job(recipe=recipe, source=str(source), target=str(target), precision=precision)).decode()
    done = subprocess.run([sys.executable, "-m", "benchmarks.exporters.job", part, job], capture_output=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise PartFailed(f"{part} {precision} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return msgspec.json.decode(done.stdout, type=Done)


def _row(what: str, done: Done, copy: Figures | None = None) -> Figures:
    seconds = copy["seconds"] if copy else None
    return {
        "what": what,
        "GB": done.bytes / 1e9,
        "seconds": done.seconds,
        "of a copy": done.seconds / seconds if isinstance(seconds, float) else None,
        "peak GiB": done.peak / (1 << 30),
        **{f"{name} s": done.more.get(name) for name in ("loading", "first token", "second token")},
    }


if __name__ == "__main__":
    main()
