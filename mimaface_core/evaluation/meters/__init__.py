"""Meters of images, faces and audio, one subject a file: fed by `update`, read by `scores`."""
