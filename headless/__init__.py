"""Running API-format graphs without ComfyUI, or on a ComfyUI server."""
