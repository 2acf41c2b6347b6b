"""How the built-in model is made: pictures, styles, captions, networks, loops."""
