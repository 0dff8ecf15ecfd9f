"""Who takes part in `benchmarks.train`: ours, PyTorch as it is and compiled, and the matrix products that say what the machine can do."""
