"""What a model is to predict at each place: a token, or nothing."""

IGNORED = -100
"""A target that counts for nothing in the loss, as in PyTorch."""
