"""Who works here: log-ins, the second factor, and the pages on which roles are given."""
