"""Runs of a table as jobs of SLURM."""
