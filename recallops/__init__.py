"""RecallOps: the project."""
