"""The training loop: resuming, other settings refused, losses that are not finite, a full disk, several precisions."""

import errno
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.training.config import LoopConfig
from mimaface.mimaface_core.training.engine.checkpoint import check_same, load_averaged, read_checkpoint
from mimaface.mimaface_core.training.engine.plots import read_log
from mimaface.mimaface_core.training.engine.trainer import BUDGET, Trainer

SETTINGS = LoopConfig(steps=6, minutes=60, rate=0.1, average=0.9, save_minutes=60, seed=5)


class Toy(nn.Module):
    """A layer that learns to return zeros; a batch may have a factor that makes the loss infinite."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        self.fixed = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x, factor=1.0):
        return {"loss": self.fixed(self.layer(x)).square().mean() * factor}


def trainer(out, precision="fp32", **changes):
    return Trainer("toy", out, Toy(), ("layer",), replace(SETTINGS, **changes), precision)


def draw(generator):
    return {"x": torch.randn(8, 3, generator=generator)}


def layer_of(path, kind="weights"):
    return read_checkpoint(path / "toy.safetensors")[0][f"{kind}/layer.weight"]


def test_a_cancelled_stage_resumes_to_the_same_weights(tmp_path):
    whole = trainer(tmp_path / "a")
    whole.run(draw)
    stage = trainer(tmp_path / "b")

    def stopped(generator):
        if stage.step == 3:
            raise Cancelled("stop")
        return draw(generator)

    with pytest.raises(Cancelled):
        stage.run(stopped)
    rest = trainer(tmp_path / "b")
    assert rest.step == 3
    rest.run(draw)
    assert torch.equal(layer_of(tmp_path / "a"), layer_of(tmp_path / "b"))
    averaged = nn.Linear(3, 2)
    load_averaged(tmp_path / "b" / "toy.safetensors", {"layer": averaged})
    assert torch.equal(averaged.weight, layer_of(tmp_path / "b", "average"))
    assert not torch.equal(averaged.weight, layer_of(tmp_path / "b"))


def test_a_resumed_stage_may_have_more_steps_but_no_other_settings(tmp_path):
    trainer(tmp_path).run(draw)
    more = trainer(tmp_path, steps=8, minutes=90)
    more.run(draw)
    assert more.step == 8
    with pytest.raises(InputError, match=r"another configuration: toy\.rate was 0\.1 and is 0\.2; "):
        trainer(tmp_path, rate=0.2)
    with pytest.raises(InputError, match=r"precision was fp32 and is bf16, toy\.seed was 5 and is 6"):
        trainer(tmp_path, "bf16", seed=6)


def test_the_log_holds_every_step_once(tmp_path):
    stage = trainer(tmp_path)
    stage.run(draw)
    stage._log({"step": 9, "loss": 1.0})  # trained after the last save, then killed
    trainer(tmp_path, steps=8).run(draw)
    assert [json.loads(line)["step"] for line in (tmp_path / "toy.jsonl").read_text().splitlines()] == [6, 8]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, value):
    trainer(tmp_path, steps=2).run(draw)
    good = layer_of(tmp_path)
    stage = trainer(tmp_path)
    with pytest.raises(InputError, match=f"step 5: its loss is {value}. The last good state, of step 2, is kept"):
        stage.run(lambda generator: {**draw(generator), "factor": value if stage.step == 4 else 1.0})
    assert torch.equal(layer_of(tmp_path), good) and trainer(tmp_path).step == 2


def test_gradients_that_are_not_finite_stop_it_too(tmp_path):
    class Steep(Toy):
        def forward(self, x):
            return {"loss": (self.layer(x) * 0).abs().sqrt().sum()}  # the root's slope at zero is infinite

    stage = Trainer("toy", tmp_path, Steep(), ("layer",), SETTINGS, "fp32")
    with pytest.raises(InputError, match="its gradient is nan. Nothing had been saved yet"):
        stage.run(draw)
    assert not (tmp_path / "toy.safetensors").exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    trainer(tmp_path, steps=2).run(draw)
    good = layer_of(tmp_path)

    def full(tensors, path, metadata=None):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InputError, match="No space left on device.*of step 2, is kept; make room"):
        trainer(tmp_path).run(draw)
    assert torch.equal(layer_of(tmp_path), good)
    assert {path.name for path in tmp_path.iterdir()} == {"toy.safetensors", "toy.jsonl", "toy-loss.png"}


def test_batches_are_accumulated(tmp_path):
    seeds = []

    def counted(generator):
        seeds.append(generator.initial_seed())
        return draw(generator)

    trainer(tmp_path / "a", accumulate=3).run(counted)
    assert len(seeds) == len(set(seeds)) == 18
    # one step on three equal batches is a step on one of them
    same = {"x": torch.ones(8, 3)}
    trainer(tmp_path / "b", accumulate=3, steps=1).run(lambda _: same)
    trainer(tmp_path / "c", steps=1).run(lambda _: same)
    assert torch.allclose(layer_of(tmp_path / "b"), layer_of(tmp_path / "c"), atol=1e-6)


def test_one_process_trains_in_several_precisions(tmp_path):
    kinds = []

    class Watched(Toy):
        def forward(self, x):
            kinds.append(self.layer(x).dtype)
            return super().forward(x)

    for precision in ("bf16", "fp32"):
        Trainer("toy", tmp_path / precision, Watched(), ("layer",), SETTINGS, precision).run(draw)
    assert set(kinds[:6]) == {torch.bfloat16} and set(kinds[6:]) == {torch.float32}
    assert layer_of(tmp_path / "bf16").dtype == torch.float32
    with pytest.raises(InputError, match="precision is 'half'"):
        trainer(tmp_path / "c", "half")
    with host.use(host.Host(device="cpu")), pytest.raises(InputError, match="which needs a GPU; use bf16"):
        trainer(tmp_path / "d", "fp16")


def test_validation_uses_the_averaged_weights(tmp_path):
    stage, weights = trainer(tmp_path), []
    stage.run(draw, lambda step: weights.append(stage.state["layer.weight"].detach().clone()) or {"measure": step})
    assert torch.equal(weights[-1], layer_of(tmp_path, "average"))
    assert torch.equal(stage.state["layer.weight"], layer_of(tmp_path))
    assert BUDGET == ("steps", "minutes", "save_minutes")


def test_averages_are_an_exponential_moving_average_with_warm_up(tmp_path):
    stage, average = trainer(tmp_path, average=0.5), Toy().layer.weight.detach().clone()
    update, steps = stage._update_averages, []

    def checked():
        update()
        decay = min(0.5, (1 + stage.step) / (10 + stage.step))
        steps.append(average.lerp_(stage.state["layer.weight"].detach(), 1 - decay).clone())

    stage._update_averages = checked
    stage.run(draw)
    assert len(steps) == 6 and torch.equal(layer_of(tmp_path, "average"), steps[-1])


def test_the_record_leaves_out_defaults_and_old_records_may_state_them(tmp_path):
    trainer(tmp_path).run(draw)
    _, metadata = read_checkpoint(tmp_path / "toy.safetensors")
    settings = {"steps": 6, "minutes": 60, "rate": 0.1, "average": 0.9, "save_minutes": 60, "seed": 5}
    record = {"toy": settings, "precision": "fp32"}
    assert json.loads(metadata["config"]) == record
    stage = trainer(tmp_path, accumulate=1)
    stated = {"toy": {**settings, "accumulate": 1}, "precision": "fp32"}
    check_same(tmp_path, json.dumps(stated), stage.record, set(), stage._defaults)
    stated["toy"]["accumulate"] = 2
    with pytest.raises(InputError, match=r"toy\.accumulate was 2 and is 1; "):
        check_same(tmp_path, json.dumps(stated), stage.record, set(), stage._defaults)


def test_logs_of_older_versions_are_read_under_the_present_names(tmp_path):
    log = tmp_path / "image.jsonl"
    log.write_text('{"step": 1, "left": 0.9, "jump": 1.2, "told_apart": 0.7}\n{"step": 2, "residual_error": 0.8}\n')
    curves = read_log(log)
    assert curves["residual_error"] == [(1, 0.9), (2, 0.8)]
    assert curves["residual_change_error"] == [(1, 1.2)] and curves["identity_auc"] == [(1, 0.7)]
