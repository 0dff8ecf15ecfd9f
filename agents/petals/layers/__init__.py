"""Layers that were used most, kept as files: blocks that nobody in the swarm hosts run from them on this machine.

What the agent does with them, off its event loop, since a large layer takes a while to copy and to hash:

- at start, `cache = Cache(artifacts / "petals" / "cache", limit)`, which removes what a kill left;
- after each text, `cache.count(prefix, 0, layers, tokens)`, prompt included, and for each call that the hosted blocks served
  `cache.count(prefix, start, end, tokens)`: this one is quick;
- then, at most once a minute, `cache.keep(folder, prefix, cancelled)` with a folder that has layers of the model: of two at once one waits,
  and `cancelled` ends it between two pieces of a file;
- at the end, `cache.save()`, for the counts.

The process that uses the swarm only reads (verified.py). A layer whose hash is wrong it removes and reports as BadLayer: the next `keep`
sees that the file is missing, and brings it in again where the folder has it. A prefix must name one set of weights: layers of another
training under the same prefix would be taken for those of this one.
"""
