"""Appearance of the source: CLIP tokens modulated by the motion of each frame (MIA, equation 1 of the paper)."""
