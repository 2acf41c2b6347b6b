"""Scores of the built-in model on any photos, against the filters that it learned from."""
