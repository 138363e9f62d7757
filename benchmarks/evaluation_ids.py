"""Identities of measurements. Nothing here imports torch, so that a plan is quick."""

from omegaconf import DictConfig, OmegaConf

from benchmarks.identity import LENGTH, NOT_IDENTITY, fingerprint

__all__ = ["SPLITS", "images_run_id", "protocol_fingerprint"]

SPLITS = ("train", "validation", "test")  # whose images may be scored as samples


def protocol_fingerprint(cfg: DictConfig) -> str:
    """Return the SHA-256 of what a protocol measures."""
    return fingerprint(OmegaConf.to_container(cfg, resolve=True))


def images_run_id(images: str, datamodule: DictConfig) -> str:
    """Return the id under which images are scored against a data set.

    Args:
        images: A split's name, or the digest of images from elsewhere.
        datamodule: Config of the data set.
    """
    data = OmegaConf.to_container(datamodule, resolve=True)
    assert isinstance(data, dict)
    own = {k: v for k, v in data.items() if k not in NOT_IDENTITY}
    return f"{fingerprint([images, own])[:LENGTH]}-r1-s0"
