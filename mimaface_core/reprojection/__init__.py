"""The photograph re-projected onto the moving face model."""
