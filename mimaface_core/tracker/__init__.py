"""The bundled face tracker's networks: faces found in an image, and their landmarks."""
