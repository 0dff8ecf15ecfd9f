"""One package per agent; what several agents are made of is in `agents.parts`."""
