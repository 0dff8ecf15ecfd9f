"""The durable log: every event, in MCAP files that any MCAP tool opens. docs/log.md is its format and its promises."""
