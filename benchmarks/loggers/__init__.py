"""Loggers of a run: CSV files, W&B and its offline files."""
