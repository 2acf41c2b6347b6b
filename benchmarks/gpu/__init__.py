"""What a GPU does with the networks of real models, with weights that were drawn by chance."""
