"""What a stream keeps from one picture to the next, as plain data; no model inside."""
