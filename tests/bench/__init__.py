"""`make bench`: what it measures and what came of it is in docs/bench.md. Nothing here is collected by pytest."""
