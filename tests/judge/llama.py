"""Trains transformers' LlamaForCausalLM with PyTorch's AdamW, and writes down losses, gradients and weights.

`python llama.py ORDER INPUT OUTPUT`, run by the Python of .venvs/judge, which has nothing of ours. ORDER is JSON: `model`
(LlamaConfig's arguments), `rates` (a learning rate a step), `betas`, `epsilon`, `weight_decay` (of matrices), `clip_norm`. INPUT is a
safetensors file of the weights, and of `tokens` and `targets` [steps, batch, context]. OUTPUT gets `losses` and `norms` [steps],
`gradient NAME` of the first step, unclipped, and `weight NAME` after the last.
"""

import json
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM


def main() -> None:
    order, tensors = json.loads(sys.argv[1]), load_file(sys.argv[2])
    batches = list(zip(tensors.pop("tokens").long(), tensors.pop("targets").long(), strict=True))
    model = LlamaForCausalLM(LlamaConfig(**order["model"], attn_implementation="eager")).float()
    model.load_state_dict(tensors)
    weights = dict(model.named_parameters())
    optimizer = make_optimizer(list(weights.values()), order)
    gradients, losses, norms = {}, [], []
    for (tokens, targets), rate in zip(batches, order["rates"], strict=True):
        loss = torch.nn.functional.cross_entropy(model(tokens).logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        gradients = gradients or {f"gradient {name}": weight.grad.clone() for name, weight in weights.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(weights.values(), order["clip_norm"]))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        losses.append(loss.detach())
    after = {f"weight {name}": weight.detach() for name, weight in weights.items()}
    save_file({**gradients, **after, "losses": torch.stack(losses), "norms": torch.stack(norms)}, sys.argv[3])


def make_optimizer(weights: list[torch.nn.Parameter], order: dict) -> torch.optim.Optimizer:
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": order["weight_decay"]},
        {"params": [weight for weight in weights if weight.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=order["betas"], eps=order["epsilon"])


if __name__ == "__main__":
    main()
