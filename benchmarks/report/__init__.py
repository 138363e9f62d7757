"""Loggers and reports."""
