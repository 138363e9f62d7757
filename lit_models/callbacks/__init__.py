"""Callbacks every run uses: checkpoints, monitoring, progress, sample grids."""
