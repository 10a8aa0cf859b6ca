"""Synthetic speech with labels of the mouth, and its augmentation."""
