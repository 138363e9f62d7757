"""Files that are written whole or not at all: what every output of the program goes through."""

from lit_models.training.files import write_atomically

__all__ = ["write_atomically"]
