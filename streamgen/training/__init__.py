"""How the built-in model is made: pictures, styles, captions, networks and the loops that fit them."""
