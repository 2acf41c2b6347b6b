"""Models: the table of known ones, loading from diffusers folders, and their compiled networks."""
