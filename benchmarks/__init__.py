"""What `streamgen bench` runs, and the results it wrote."""
