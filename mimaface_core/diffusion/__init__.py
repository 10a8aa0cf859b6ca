"""Inter-clip affinity (ICA) diffusion: a 13-channel motion U-Net, its conditions, and the loop over clips.

The paper's equation 1, the appearance that conditions the U-Net, is `appearance/mia.py`; equation 2, the identity loss
of training, is `training/models/identity_loss.py`.
"""
