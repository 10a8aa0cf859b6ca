"""Training samples: made, stored, read back."""
