"""A Petals client as its documentation has it, with no code of ours beyond the names that hivemind has elsewhere today.

`python stock_client.py FOLDER PREFIX ADDRESS LENGTH TOKEN...`, by the Python that has Petals. Says its peer id in a line, waits for one
on standard input, then writes the tokens, or why there are none, as JSON.
"""

import json
import sys

import agents.petals.swarm.compatibility  # noqa: F401  # before petals

# isort: split
import torch
from petals import AutoDistributedModelForCausalLM


def main() -> None:
    folder, prefix, address, length, *tokens = sys.argv[1:]
    model = AutoDistributedModelForCausalLM.from_pretrained(
        folder, dht_prefix=prefix, initial_peers=[address], use_chunked_forward=False, torch_dtype=torch.float32, max_retries=1
    )
    print(model.model.layers.sequence_manager.dht.peer_id.to_base58(), flush=True)  # noqa: T201
    sys.stdin.readline()
    try:
        written = model.generate(torch.tensor([[int(token) for token in tokens]]), max_new_tokens=int(length), do_sample=False)
        found = {"tokens": written[0].tolist()}
    except Exception as error:  # whatever it is, the test looks at it
        found = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
