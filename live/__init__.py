"""A photograph before the camera: `mimaface live`."""
