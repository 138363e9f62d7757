"""The clock of training: real images consumed, over all processes."""

__all__ = ["crossed"]


def crossed(images_seen: int, images_per_step: int, every: int) -> bool:
    """Return whether the step that ended at `images_seen` reached or passed a multiple."""
    return images_seen // every > (images_seen - images_per_step) // every
