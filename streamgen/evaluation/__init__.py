"""How steady a redrawn video is: figures, clips whose motion is known, settings side by side."""
