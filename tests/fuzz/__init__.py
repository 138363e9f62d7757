"""Calls that a careless or hostile user may make, drawn by a seed: `make fuzz`."""
