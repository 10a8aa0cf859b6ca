"""The full size: pretrained weights carried over key by key, and all its stages with narrow networks."""

import json
from dataclasses import replace

import pytest
import torch

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.packs.parts import build_part
from mimaface.mimaface_core.training.config import CONFIGS, load_config, parse_config
from mimaface.mimaface_core.training.models.networks import build_networks, unet_entry
from mimaface.mimaface_core.training.models.pretrained import grown, unet_state
from mimaface.mimaface_core.training.recipe import run_stage, stages_of
from mimaface.mimaface_core.weights import compare

PICTURE = {"block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 16}
MOTION = {"block_out_channels": [8, 8, 16, 16], "motion_layers_per_block": 1, "motion_norm_num_groups": 4}
MOTION |= {"motion_num_attention_heads": 2, "motion_max_seq_length": 32, "use_motion_mid_block": False}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 8,
}
VISION |= {"image_size": 32, "patch_size": 16, "hidden_act": "quick_gelu"}
VAE = {"block_out_channels": [4, 4, 8, 8], "norm_num_groups": 4, "layers_per_block": 1, "scaling_factor": 0.18215}
VAE |= {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}


def shapes(module):
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def test_every_key_of_stable_diffusion_and_animatediff_is_used():
    from diffusers import MotionAdapter, UNet2DConditionModel

    config = load_config("full")
    with torch.device("meta"):
        # as their released configurations
        picture = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        motion = MotionAdapter(motion_max_seq_length=32, use_motion_mid_block=False)
        entry = unet_entry(config.unet)
        unet = build_part("unet", entry["config"], entry.get("class"))
        state = unet_state(unet.state_dict(), picture.state_dict(), motion.state_dict())
    assert not compare(shapes(unet), state) and state.keys() == picture.state_dict().keys() | motion.state_dict().keys()
    assert unet.conv_in.weight.shape == (320, 13, 3, 3) and picture.conv_in.weight.shape == (320, 4, 3, 3)
    assert sum(p.numel() for p in unet.parameters()) > 1.2e9


def test_the_vision_encoder_and_the_autoencoder_are_the_released_ones():
    from mimaface.mimaface_core.appearance.tokens_released import CLIP_L
    from mimaface.mimaface_core.packs.released.autoencoder import CONFIG

    config = load_config("full")
    assert config.appearance.vision == CLIP_L and config.vae.config == CONFIG
    assert stages_of(config) == ["data", "image", "video", "distill", "pack"]
    with pytest.raises(InputError, match="nothing for the stage 'vae'; it has data, image"):
        run_stage("vae", config, None, None)


def test_the_input_layer_grows_by_zeros():
    weight = torch.randn(5, 4, 3, 3)
    more = grown(weight, 13)
    assert more.shape == (5, 13, 3, 3) and torch.equal(more[:, :4], weight) and not more[:, 4:].any()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The full configuration with narrow networks, whose weights lie in folders of diffusers and transformers."""
    from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    modules = {
        "unet": UNet2DConditionModel(**PICTURE, attention_head_dim=2),
        "motion": MotionAdapter(**MOTION),
        "vision": CLIPVisionModel(CLIPVisionConfig(**VISION)),
        "vae": AutoencoderKL(**VAE),
    }
    for name, module in modules.items():
        module.save_pretrained(folder / name)
    config = json.loads((CONFIGS / "full.json").read_text())
    config["start"] = {name: str(folder / name) for name in modules}
    config["vae"]["config"] = VAE
    config["unet"] |= {**PICTURE, "num_attention_heads": 2, "motion_num_attention_heads": 2}
    config["appearance"] = {"vision": VISION, "context_dim": 16, "adapter_layers": 1, "adapter_heads": 1}
    config["latents"] |= {"size": 64, "held": 1, "frames": 2, "views": 1}
    config["sampling"]["steps"] = 2
    config["data"]["frames"] = 4
    for stage in ("image", "video", "distill"):
        config[stage] |= {"batch": 2, "accumulate": 2, "steps": 1}
    config["identity"] |= {"bank": 8, "pictures": 1}
    return parse_config(config, "small.json"), modules


def test_pretrained_weights_are_carried_over_exactly(small):
    config, modules = small
    networks = build_networks(config)
    state = networks.unet.state_dict()
    for name in ("unet", "motion"):
        for key, value in modules[name].state_dict().items():
            if key != "conv_in.weight":
                assert torch.equal(state[key], value), key
    own = modules["unet"].conv_in.weight
    assert torch.equal(state["conv_in.weight"][:, :4], own) and not state["conv_in.weight"][:, 4:].any()
    vision = {key.removeprefix("vision_model."): value for key, value in modules["vision"].state_dict().items()}
    assert all(torch.equal(networks.appearance.vision.state_dict()[key], value) for key, value in vision.items())


def test_it_trains_and_becomes_a_pack(small, tiny_people, tmp_path):
    config, _ = small
    for stage in ("image", "video", "distill", "pack"):
        run_stage(stage, config, tiny_people, tmp_path)
    few = ModelPack.load(tmp_path / "pack-few-steps")
    assert few.sampling == {"scheduler": "lcm", "steps": 4, "guidance": 1.0}
    pack = ModelPack.load(tmp_path / "pack")
    assert set(pack.verify()) == {"vae", "appearance", "unet"}
    assert pack.latents.target == "picture" and pack.scheduler["prediction_type"] == "epsilon"
    assert type(pack.unet.down_blocks[0].motion_modules[0].norm).__name__ == "FrameNorm"
    assert (pack.unet.conv_in.weight[:, 8:] != 0).any()


def test_the_refusal_of_missing_weights_names_file_source_and_folder(small, tmp_path):
    config = replace(small[0], start=replace(small[0].start, motion=str(tmp_path / "nothing")))
    with pytest.raises(InputError) as refused:
        run_stage("image", config, tmp_path, tmp_path)
    text = str(refused.value)
    assert "nothing/diffusion_pytorch_model.safetensors is missing" in text.replace("\\", "/")
    assert "huggingface.co/guoyww/animatediff-motion-adapter-v1-5-3" in text and text.count(". ") == 0
