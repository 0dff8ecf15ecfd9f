"""What a run learns from, opened: one place that says which recipe reads what."""

from __future__ import annotations

from pathlib import Path

from agents.trainer.data.corpus import Corpus
from agents.trainer.data.files import Report
from agents.trainer.data.pictures import open_pictures
from agents.trainer.data.text import open_text
from agents.trainer.plan import Plan


def open_corpus(plan: Plan, cache: Path, report: Report) -> Corpus:
    """The data of a run, prepared in the folder `cache` where it is not yet: pictures for a recipe that sees, else the text it names.

    Raises BadData, RenderingFailed, OSError, and what `report` raises.
    """
    hyper = plan.hyper
    if plan.recipe.vision:
        return open_pictures(plan.recipe, hyper.seed, cache, report)
    return open_text(plan.data, plan.tokenizer, cache, report, batch=hyper.batch, context=hyper.context, seed=hyper.seed)
