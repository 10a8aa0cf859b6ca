"""D3DFR's backbone, compared with torchvision's ResNet-50 wherever that can be imported."""

import pytest
import torch
from support.parity import weight

from mimaface.mimaface_core.face.d3dfr import Backbone


@torch.no_grad()
def test_backbone_is_the_resnet50_of_torchvision():
    try:
        from torchvision.models import resnet50
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another build than PyTorch's
        pytest.skip(f"torchvision cannot be imported beside this PyTorch: {error}")
    ours, theirs = Backbone().eval(), resnet50(weights=None).eval()
    theirs.fc = torch.nn.Identity()
    state = {key: weight(key, tuple(value.shape)) for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state, strict=True)
    theirs.load_state_dict(state, strict=True)
    pixels = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(ours(pixels).flatten(1), theirs(pixels))
