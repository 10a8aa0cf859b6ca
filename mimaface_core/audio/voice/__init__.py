"""The bundled audio driver: speech to the bundled face's mouth, head, brows and eyes."""
