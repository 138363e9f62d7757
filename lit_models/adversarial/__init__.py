"""Models with several players on one engine: GANs and their kin."""
