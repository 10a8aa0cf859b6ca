"""CSIM and its stand-in."""

import pytest
import torch

from mimaface.mimaface_core.appearance import identity as curricular
from mimaface.mimaface_core.evaluation.meters import identity
from mimaface.mimaface_core.evaluation.meters.crops import to_signed
from mimaface.mimaface_core.evaluation.scores import Loaded, Missing


def test_csim_reads_the_released_layout(mesh, texture, models, monkeypatch):
    missing = identity.load_csim()
    assert isinstance(missing, Missing) and "CurricularFace_Backbone.pth" in missing.reason
    monkeypatch.setattr(curricular, "IR101_STAGES", ((1, 64), (1, 128), (1, 256), (1, 512)))
    torch.manual_seed(0)
    net = curricular.CurricularFace()
    file = models / identity.CURRICULAR.name
    torch.save({f"module.{key}": value for key, value in net.state_dict().items()}, file)
    embedding = identity.load_csim()
    images = [to_signed(texture(i)) for i in (0, 1)]
    meter = identity.IdentityMeter(embedding.net, images[0], mesh[0])
    meter.update(images[0], mesh[0])
    scores = identity.identity_scores(Loaded(meter, embedding.weights), meter)
    assert scores["csim"]["value"] == pytest.approx(1, abs=1e-4) and scores["csim"]["weights"] == str(file)
    assert "weak" in scores["appearance_similarity_bundled"]["title"]
    meter.update(images[1], mesh[0])
    assert meter.mean < 0.99
