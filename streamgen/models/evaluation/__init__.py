"""How good the built-in model is: scores on any photos, against the filters that it learned from."""
