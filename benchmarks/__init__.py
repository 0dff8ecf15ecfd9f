"""What the figures in README and docs come from: `./dev bench NAME` prints a table and writes benchmarks/results/NAME.json."""
