"""What customers see of their move, by a private link."""
