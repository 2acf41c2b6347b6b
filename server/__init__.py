"""The HTTP and WebRTC edge; imports no torch."""
