"""Metrics, each a torchmetrics.Metric over features, samples or log-likelihoods."""
