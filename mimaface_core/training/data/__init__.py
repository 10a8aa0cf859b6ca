"""Training samples: made, stored, read."""
