"""The rehearsal: docs/rehearsal.md."""
