"""What a score means: one file for each kind of protocol."""
