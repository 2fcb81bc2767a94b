"""E-mails to customers at the milestones of a move: found from rows, written once, sent outside of any transaction."""
