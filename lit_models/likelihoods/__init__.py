"""Distributions of data given parameters, and of codes; log-probabilities in nats."""
