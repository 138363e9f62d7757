"""From names and overrides to a config, its identity, and objects."""
