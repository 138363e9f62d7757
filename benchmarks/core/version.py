"""The version of the suite, which must not import anything."""

__all__ = ["__version__"]

__version__ = "0.1.0"
