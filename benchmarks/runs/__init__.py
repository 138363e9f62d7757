"""A run on disk: its folder, record, writer, lock and state."""
