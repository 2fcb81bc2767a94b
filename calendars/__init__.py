"""The world as it is."""
