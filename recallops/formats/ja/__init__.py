"""Japanese pages."""
