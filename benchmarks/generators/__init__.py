"""Who takes part in `benchmarks.generate`: ours and onnxruntime-genai, each over the same exported model."""
