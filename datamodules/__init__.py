"""Data sets: one file each, all with the contract of `datamodules.base`."""
