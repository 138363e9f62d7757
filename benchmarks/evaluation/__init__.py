"""From a model, or images, to scores: sources, protocols, metrics, features."""
