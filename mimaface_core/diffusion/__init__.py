"""Inter-clip affinity diffusion: a 13-channel motion U-Net, its conditions, and the loop over clips."""
