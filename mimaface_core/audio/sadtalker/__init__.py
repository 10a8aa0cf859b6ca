"""SadTalker's published audio driver: its networks and how they move the face model."""
