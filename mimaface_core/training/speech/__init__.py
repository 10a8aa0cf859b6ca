"""Synthetic speech whose mouth movements are known."""
