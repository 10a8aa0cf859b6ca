"""What is measured on frames and sound, one subject a file."""
