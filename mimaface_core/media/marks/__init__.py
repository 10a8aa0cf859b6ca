"""The watermark of written files, and what marks of synthetic media a file carries."""
