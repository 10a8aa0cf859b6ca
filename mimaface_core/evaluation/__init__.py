"""Measures finished clips. Each score comes with the name of the estimator it was made with."""
