"""Evaluation of finished videos. Each score carries the name of the estimator that it was measured with."""
