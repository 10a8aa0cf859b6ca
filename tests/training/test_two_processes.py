"""`accelerate launch` with two processes on the CPU: they train what one process with twice the batches does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.checkout import IMPORT
from support.machine import slower

from mimaface.mimaface_core.training.config import CONFIGS, load_config
from mimaface.mimaface_core.training.engine.checkpoint import read_checkpoint
from mimaface.mimaface_core.training.recipe import run_stage

STEPS = 2
# the command, and of each process its number, how many there are, and the sum of what it has learned
PROGRAM = f"""{IMPORT}
import json, pathlib
from mimaface.cli.main import main
from mimaface.mimaface_core.training.engine.trainer import Trainer
whole = Trainer.run
def run(self, *arguments):
    whole(self, *arguments)
    told = [self.accelerator.num_processes, sum(p.detach().double().sum().item() for p in self.trained)]
    pathlib.Path(f"process-{{self.accelerator.process_index}}.json").write_text(json.dumps(told))
Trainer.run = run
sys.exit(main())
"""


def configured(path, **changes):
    """The tiny configuration with another stage `vae`."""
    content = json.loads((CONFIGS / "tiny.json").read_text())
    content["vae"] |= {"steps": STEPS, **changes}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.skipif(os.name == "nt", reason="PyTorch for Windows has no gloo over loopback")
def test_two_processes_learn_what_one_does_with_two_batches_a_step(tmp_path, tiny_people):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["program.py", "train", "vae", "--config", configured(tmp_path / "two.json"), "--data", tiny_people]
    done = subprocess.run(
        [*command, "--out", "two"],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300 * slower(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(Path(tmp_path / f"process-{number}.json").read_text()) for number in (0, 1)]
    assert [count for count, _ in told] == [2, 2] and told[0][1] == told[1][1]

    run_stage("vae", load_config(str(configured(tmp_path / "one.json", accumulate=2))), tiny_people, tmp_path / "one")
    two, one = (read_checkpoint(tmp_path / name / "vae.safetensors")[0] for name in ("two", "one"))
    moved = [key for key in one if key.startswith("weights/")]
    assert moved and two.keys() == one.keys()
    for key in one:
        assert torch.allclose(two[key], one[key], rtol=1e-3, atol=1e-5), key
