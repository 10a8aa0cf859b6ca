"""The networks in training: losses, stages, validation."""
