"""What a table needs, and what of it is missing."""
