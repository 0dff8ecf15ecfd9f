"""Who takes part in `benchmarks.bus`: ours, raw pyzmq, NATS JetStream and Redis Streams, each behind the same small face."""
