"""Who takes part in `benchmarks.generate` and `benchmarks.petals`: each writes behind the same prompt with the same exported model."""
