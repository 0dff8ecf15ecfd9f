"""The command line: one module a verb, listed in `bus.cli.main`."""
