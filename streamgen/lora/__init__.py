"""LoRA: read from a file, fitted to a model's networks, added to their weights and taken away."""
