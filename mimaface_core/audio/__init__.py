"""From a voice to movement: what is heard, and the drivers that make a track of it."""
