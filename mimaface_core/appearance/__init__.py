"""What the source looks like: CLIP tokens modulated by the motion that drives them."""
