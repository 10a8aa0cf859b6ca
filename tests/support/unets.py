"""A stand-in for the motion U-Net, and tests' default scheduler configuration."""

from types import SimpleNamespace

import torch

SAMPLE = {"prediction_type": "sample", "timestep_spacing": "trailing"}


class RecordingUNet(torch.nn.Module):
    """Stands in for the motion U-Net: records its inputs and returns a simple function of them."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(motion_max_seq_length=32)
        self.calls = []

    def forward(self, sample, timestep, encoder_hidden_states):
        self.calls.append((sample.clone(), float(timestep), encoder_hidden_states.clone()))
        context = encoder_hidden_states.mean((1, 2)).view(sample.shape[0], 1, sample.shape[2], 1, 1)
        return SimpleNamespace(sample=0.3 * sample[:, :4] + 0.2 * sample[:, 4:8] + 0.1 * sample[:, 8:12] + context)
