"""A table as text, figures and a page."""
