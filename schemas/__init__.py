"""The vocabulary of the appliance: one module per domain, with its structs, topics and commands."""
