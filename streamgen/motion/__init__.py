"""Motion modules: attention over time, frame by frame with a ring or over whole clips."""
