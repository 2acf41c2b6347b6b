"""Whole clips drawn at once, from words or from a picture: every frame sees those after it, too."""
