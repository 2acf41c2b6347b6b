"""Real-time video-to-video diffusion: a live picture in, the same picture redrawn."""

__version__ = "0.1.0"
