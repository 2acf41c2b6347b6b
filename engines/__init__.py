"""Networks as compiled callables with named tensors; knows nothing of frames or diffusion."""
