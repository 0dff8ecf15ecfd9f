"""What runs in processes of .venvs/petals, with PyTorch, hivemind and Petals: nothing else may import it."""

from agents.petals.swarm import compatibility as compatibility  # petals does not import before these names are there
