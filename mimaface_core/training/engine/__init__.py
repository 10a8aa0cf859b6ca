"""The training loop, checkpoints, accelerator and plots that every training stage shares."""
