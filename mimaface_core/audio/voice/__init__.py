"""The bundled audio driver: from speech to the bundled face's mouth, head, brows and eyes."""
