"""Networks of which an output sees earlier pixels only."""
