"""The loop of all stages: resuming, other settings refused, broken losses, a full disk, one precision after another."""

import errno
import json

import pytest
import torch
from torch import nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.training.engine import trainer as loop
from mimaface.mimaface_core.training.engine.checkpoint import load_averaged, read_checkpoint
from mimaface.mimaface_core.training.engine.trainer import Training

SETTINGS = {"steps": 6, "minutes": 60, "rate": 0.1, "average": 0.9, "save_minutes": 60, "seed": 5}


class Toy(nn.Module):
    """A layer that learns to give zeros; a batch may carry a number that breaks the loss."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        self.fixed = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x, factor=1.0):
        return {"loss": self.fixed(self.layer(x)).square().mean() * factor}


def training(out, precision="fp32", **changes):
    return Training("toy", out, Toy(), ("layer",), {"toy": {**SETTINGS, **changes}, "precision": precision})


def draw(generator):
    return {"x": torch.randn(8, 3, generator=generator)}


def layer_of(path, kind="weights"):
    return read_checkpoint(path / "toy.safetensors")[0][f"{kind}/layer.weight"]


def test_resuming_continues_where_it_stopped(tmp_path):
    whole = training(tmp_path / "a")
    whole.run(draw)
    stage = training(tmp_path / "b")

    def stopped(generator):
        if stage.step == 3:
            raise Cancelled("stop")
        return draw(generator)

    with pytest.raises(Cancelled):
        stage.run(stopped)
    rest = training(tmp_path / "b")
    assert rest.step == 3
    rest.run(draw)
    assert torch.equal(layer_of(tmp_path / "a"), layer_of(tmp_path / "b"))
    averaged = nn.Linear(3, 2)
    load_averaged(tmp_path / "b" / "toy.safetensors", {"layer": averaged})
    assert torch.equal(averaged.weight, layer_of(tmp_path / "b", "average"))
    assert not torch.equal(averaged.weight, layer_of(tmp_path / "b"))


def test_more_steps_may_be_asked_for_but_no_other_settings(tmp_path):
    training(tmp_path).run(draw)
    more = training(tmp_path, steps=8, minutes=90)
    more.run(draw)
    assert more.step == 8
    with pytest.raises(InputError, match=r"another configuration: toy\.rate was 0\.1 and is 0\.2; "):
        training(tmp_path, rate=0.2)
    with pytest.raises(InputError, match=r"precision was fp32 and is bf16, toy\.seed was 5 and is 6"):
        training(tmp_path, "bf16", seed=6)


def test_the_log_holds_every_step_once(tmp_path):
    stage = training(tmp_path)
    stage.run(draw)
    stage._log({"step": 9, "loss": 1.0})  # trained after the last save, then killed
    training(tmp_path, steps=8).run(draw)
    assert [json.loads(line)["step"] for line in (tmp_path / "toy.jsonl").read_text().splitlines()] == [6, 8]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_loss_stops_and_the_last_good_state_stays(tmp_path, broken):
    training(tmp_path, steps=2).run(draw)
    good = layer_of(tmp_path)
    stage = training(tmp_path)
    with pytest.raises(InputError, match=f"step 5: its loss is {broken}. The last good state, of step 2, is kept"):
        stage.run(lambda generator: {**draw(generator), "factor": broken if stage.step == 4 else 1.0})
    assert torch.equal(layer_of(tmp_path), good) and training(tmp_path).step == 2


def test_broken_gradients_stop_it_too(tmp_path):
    class Steep(Toy):
        def forward(self, x):
            return {"loss": (self.layer(x) * 0).abs().sqrt().sum()}  # the root's slope at zero is infinite

    stage = Training("toy", tmp_path, Steep(), ("layer",), {"toy": SETTINGS, "precision": "fp32"})
    with pytest.raises(InputError, match="its gradient is nan. Nothing had been saved yet"):
        stage.run(draw)
    assert not (tmp_path / "toy.safetensors").exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    training(tmp_path, steps=2).run(draw)
    good = layer_of(tmp_path)

    def full(tensors, path, metadata=None):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InputError, match="No space left on device.*of step 2, is kept; make room"):
        training(tmp_path).run(draw)
    assert torch.equal(layer_of(tmp_path), good)
    assert not list(tmp_path.glob("*.part"))


def test_batches_are_accumulated(tmp_path):
    seen = []

    def counted(generator):
        seen.append(generator.initial_seed())
        return draw(generator)

    training(tmp_path / "a", accumulate=3).run(counted)
    assert len(seen) == len(set(seen)) == 18
    # one step on three equal batches is a step on one of them
    same = {"x": torch.ones(8, 3)}
    training(tmp_path / "b", accumulate=3, steps=1).run(lambda _: same)
    training(tmp_path / "c", steps=1).run(lambda _: same)
    assert torch.allclose(layer_of(tmp_path / "b"), layer_of(tmp_path / "c"), atol=1e-6)


def test_precisions_follow_each_other_in_one_process(tmp_path):
    kinds = []

    class Watched(Toy):
        def forward(self, x):
            kinds.append(self.layer(x).dtype)
            return super().forward(x)

    for precision in ("bf16", "fp32"):
        config = {"toy": SETTINGS, "precision": precision}
        Training("toy", tmp_path / precision, Watched(), ("layer",), config).run(draw)
    assert set(kinds[:6]) == {torch.bfloat16} and set(kinds[6:]) == {torch.float32}
    assert layer_of(tmp_path / "bf16").dtype == torch.float32
    with pytest.raises(InputError, match="precision is 'half'"):
        training(tmp_path / "c", "half")
    with host.use(host.Host(device="cpu")), pytest.raises(InputError, match="which needs a GPU; use bf16"):
        training(tmp_path / "d", "fp16")


def test_measures_are_of_the_averaged_weights(tmp_path):
    stage, seen = training(tmp_path), []
    stage.run(draw, lambda step: seen.append(stage.values["layer.weight"].detach().clone()) or {"step_seen": step})
    assert torch.equal(seen[-1], layer_of(tmp_path, "average"))
    assert torch.equal(stage.values["layer.weight"], layer_of(tmp_path))
    assert loop.BUDGET == ("steps", "minutes", "save_minutes")
