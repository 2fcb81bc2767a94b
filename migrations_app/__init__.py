"""The move."""
