"""Synthetic people: painted, acted, photographed."""
