"""Compiled U-Nets: used where the host compiles, and left where compiling fails."""

import logging

import pytest
import torch
from torch import nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion import compiled
from mimaface.mimaface_core.diffusion.compiled import run_compiled


class Compiling(host.Host):
    compiles = True


@pytest.fixture
def network(monkeypatch):
    """A network of a class of its own, on a host that compiles."""

    class Doubling(nn.Module):
        def forward(self, x, shift=0):
            return 2 * x + shift

    monkeypatch.setattr(compiled, "_refused", set())
    with host.use(Compiling(device="cpu")), torch.no_grad():
        yield Doubling()


def test_a_class_of_networks_is_compiled_once(network, monkeypatch):
    made = []

    def compile(forward, dynamic):
        made.append(forward)
        return lambda *arguments, **named: forward(*arguments, **named) + 100

    monkeypatch.setattr(torch, "compile", compile)
    assert [float(run_compiled(n, torch.ones(()), shift=1)) for n in (network, network, type(network)())] == [103] * 3
    assert len(made) == 1
    with torch.enable_grad():  # training takes the network itself
        assert float(run_compiled(network, torch.ones(()))) == 2


def test_where_compiling_fails_the_network_runs_as_it_is(network, monkeypatch, caplog):
    tries = []

    def failing(*_, **__):
        tries.append(1)
        raise RuntimeError("Cannot find a working triton installation\nmore of it")

    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: failing)
    with caplog.at_level(logging.WARNING):
        assert [float(run_compiled(network, torch.ones(()))) for _ in range(3)] == [2, 2, 2]
    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith("Compiling failed (Cannot find a working triton installation)") and len(tries) == 1


def test_too_little_memory_is_not_taken_for_a_failing_compiler(network, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: full)
    with pytest.raises(torch.OutOfMemoryError):
        run_compiled(network, torch.ones(()))


def test_only_gpus_compile_and_only_when_asked(monkeypatch):
    for value, device, wanted in (("1", "cuda", True), ("0", "cuda", False), ("", "cuda", False), ("1", "cpu", False)):
        monkeypatch.setenv("MIMAFACE_COMPILE", value)
        assert host.Host(device=device).compiles is wanted
