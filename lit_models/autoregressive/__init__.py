"""Autoregressive models with exact likelihood."""
