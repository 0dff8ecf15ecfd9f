"""PyTorch: the plain loop, or the same with torch.compile. `python -m benchmarks.trainers.torch_loop JOB`, in .venvs/judge."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.trainers.torch_llama import Llama, Shape
from benchmarks.trainers.turns import Turns


def main() -> None:
    turns = Turns()
    job = json.loads(sys.argv[1])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    given = load_file(job["given"], device)
    batches = itertools.cycle(list(zip(given.pop("tokens").long(), given.pop("targets").long(), strict=True)))
    rates = given.pop("rates").tolist()
    loop = Loop(job, given, device)
    steps = zip(batches, itertools.chain(rates, itertools.repeat(rates[-1])), strict=False)
    turns.take(
        lambda count: [loop.step(*batch, rate) for batch, rate in itertools.islice(steps, count)], device, {"torch": torch.__version__}
    )


class Loop:
    def __init__(self, job: dict[str, Any], weights: dict[str, torch.Tensor], device: str) -> None:  # Any: JSON values
        self.model = Llama(Shape(**job["shape"])).to(device)
        self.model.load_state_dict(weights)
        self.loss_of = torch.compile(self.model) if job["compiled"] else self.model
        self.optimizer = make_optimizer(self.model, job["hyper"])
        self.clip_norm = job["hyper"]["clip_norm"]

    def step(self, tokens: torch.Tensor, targets: torch.Tensor, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.loss_of(tokens, targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        norm.item()  # ours reports it with each step as well
        return float(loss.item())


def make_optimizer(model: torch.nn.Module, hyper: dict[str, Any]) -> torch.optim.Optimizer:  # Any: JSON values
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": hyper["weight_decay"]},
        {"params": [weight for weight in weights if weight.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["epsilon"], fused=True)


if __name__ == "__main__":
    main()
