"""All contact with ComfyUI: its schema classes or their stand-in, its host, the example files."""
