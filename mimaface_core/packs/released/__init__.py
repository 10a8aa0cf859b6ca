"""The released weights: their files checked key by key and converted to a model pack."""
