"""From files to animated frames: the public functions, step by step."""
