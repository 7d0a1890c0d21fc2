"""Years of a fictional commune, made from a seed: every page and document has something to show."""
