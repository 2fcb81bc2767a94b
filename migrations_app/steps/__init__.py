"""One file for each step of a move."""
