"""The verbs of dgmbench, and what turns runs into tables."""

__version__ = "0.1.0"
