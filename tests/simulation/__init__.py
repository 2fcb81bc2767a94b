"""The whole system in one process on virtual clocks, from a seed: docs/simulation.md."""
