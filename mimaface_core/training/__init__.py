"""Training a model pack: the recipe, its configuration, and the packages of each training stage."""
