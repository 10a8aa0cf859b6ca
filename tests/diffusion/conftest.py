"""Tiny random networks that the tests of diffusion share."""

import pytest
from support.tiny_pack import UNET, VAE, awaken

from mimaface.mimaface_core.diffusion.latents import build_vae
from mimaface.mimaface_core.diffusion.unet import build_unet


@pytest.fixture(scope="session")
def vae():
    return awaken(build_vae("AutoencoderTiny", VAE)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def unet():
    return awaken(build_unet(UNET)).eval().requires_grad_(False)
