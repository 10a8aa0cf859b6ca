"""Model packs: manifests, strict and lazy loading, half-precision files, the bundled pack's sizes."""

import pytest
import torch
from support.scenes import needs_faces, portrait
from support.tiny_pack import BUNDLED_APPEARANCE, BUNDLED_UNET, BUNDLED_VAE, manifest, write_tiny_pack

from mimaface.mimaface_core import animate, host, measure, paste_back
from mimaface.mimaface_core import render as draw
from mimaface.mimaface_core.appearance.mia import AppearanceEncoder
from mimaface.mimaface_core.audio.voice.driver import VoiceDriver
from mimaface.mimaface_core.audio.voice.net import VoiceNet
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.unet import build_unet
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.files import write_pack
from mimaface.mimaface_core.packs.find import find_pack, list_packs
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack


@needs_faces
@pytest.mark.parametrize("render", ["projected", "albedo"])
def test_a_pack_draws_at_its_own_size(tmp_path, render):
    image = torch.from_numpy(portrait()).float() / 255
    sources = {}
    for size in (256, 512):
        pack = write_tiny_pack(tmp_path / str(size), picture_size=size, render=render)
        sources[size], motion = measure(pack, image)
        assert sources[size].crop.shape == (3, size, size)
        frames = torch.cat(list(animate(pack, sources[size], motion)))
        assert frames.shape == (1, size, size, 3)
        (pasted,) = paste_back(sources[size], frames)
        assert pasted.shape == (1, *image.shape)
    small, large = sources.values()
    assert torch.equal(small.track.motion, large.track.motion)
    assert torch.allclose(small.landmarks * 2, large.landmarks, atol=1e-4)
    assert torch.allclose(small.crop_matrix * 2, large.crop_matrix)
    drawn = [next(draw(find_pack(str(tmp_path / str(n))), sources[n], motion))[:3] for n in sources]
    assert (drawn[0] - torch.nn.functional.avg_pool2d(drawn[1], 2)).abs().mean() < 0.02


def test_parts_are_loaded_on_first_use(pack):
    assert not {"vae", "unet", "appearance", "latents"} & vars(pack).keys()
    unet = pack.unet
    assert unet is pack.unet and "vae" not in vars(pack)
    assert not unet.training and not any(p.requires_grad for p in unet.parameters())
    assert isinstance(pack.latents, LatentSpace) and pack.latents.vae is pack.vae
    assert (pack.latents.target, pack.latents.scale) == ("residual", 2.0)
    assert isinstance(pack.appearance, AppearanceEncoder)
    assert (pack.name, pack.manifest.image_size, pack.clip_frames, pack.overlap) == ("tiny", 512, 12, 3)
    assert pack.scheduler["prediction_type"] == "sample" and pack.sampling["steps"] == 4
    assert pack.render == "projected"


def test_half_precision_files_take_the_hosts_precision(pack):
    from safetensors.torch import load_file

    stored = load_file(pack.folder / "unet.safetensors")
    assert stored["conv_in.weight"].dtype == torch.float16
    with host.use(host.Host(dtype=torch.float32)):
        exact = ModelPack.load(pack.folder).unet.conv_in.weight
    assert exact.dtype == torch.float32 and torch.equal(exact.half(), stored["conv_in.weight"])
    assert pack.unet.conv_in.weight.dtype == host.current().small_dtype
    assert torch.allclose(pack.unet.conv_in.weight.float(), exact, rtol=2**-8)


def test_verify_reports_sizes(pack):
    report = pack.verify()
    assert set(report) == {"vae", "appearance", "unet"}
    assert all(entry["parameters"] > 100 and entry["bytes"] > 100 for entry in report.values())


def test_a_pack_with_an_audio_part(pack):
    with pytest.raises(InputError, match="no audio driver; choose the bundled one"):
        _ = pack.audio_driver
    entry = {"config": {"width": 8, "dilations": [1, 2]}, "file": "audio.safetensors"}
    write_pack(pack.folder, manifest(audio=entry), {"audio": VoiceNet(**entry["config"])})
    pack = ModelPack.load(pack.folder)
    report = pack.verify()
    assert set(report) == {"vae", "appearance", "unet", "audio"} and report["audio"]["parameters"] > 100
    assert isinstance(pack.audio_driver, VoiceDriver) and pack.audio_driver.net is pack.audio
    assert not pack.audio.training


def test_morphable_is_the_bundled_face(pack):
    assert pack.morphable.identity_basis.shape[-1] == 80


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda values: values.pop("conv_in.bias"), "'conv_in.bias' is missing"),
        (lambda values: values.update({"extra": torch.zeros(1)}), "'extra' is unknown"),
        (lambda values: values.update({"conv_in.bias": torch.zeros(3)}), r"'conv_in.bias' has shape \[3\]"),
    ],
)
def test_loading_is_strict(pack, spoil, named):
    from safetensors.torch import load_file, save_file

    path = pack.folder / "unet.safetensors"
    values = load_file(path)
    spoil(values)
    save_file(values, path)
    with pytest.raises(InputError, match=f"unet.safetensors.*{named}.*install the pack again"):
        _ = ModelPack.load(pack.folder).unet


def test_damaged_weights_are_refused(pack):
    (pack.folder / "vae.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="vae.safetensors cannot be read"):
        _ = ModelPack.load(pack.folder).latents


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="another folder"):
        write_tiny_pack(tmp_path / "file" / "pack")


def test_no_temporary_file_is_left(pack):
    assert sorted(path.name for path in pack.folder.iterdir()) == [
        "appearance.safetensors",
        "manifest.json",
        "unet.safetensors",
        "vae.safetensors",
    ]


def test_packs_are_found(pack, tmp_path):
    (tmp_path / "empty").mkdir()
    found = list_packs([tmp_path, tmp_path / "absent"])
    assert found["tiny"] == pack.folder and "empty" not in found
    with host.use(host.Host(models=[tmp_path])):
        assert list_packs() == found
        assert find_pack("tiny").folder == pack.folder
        with pytest.raises(InputError, match="tiny"):
            find_pack("small")
    assert find_pack(str(pack.folder), []).name == "tiny"
    if (BUNDLED_PACK / "manifest.json").is_file():
        assert next(iter(found)) == "bundled"


def test_pack_runs_end_to_end(pack):
    from mimaface.mimaface_core.diffusion.clips import sample_clips
    from mimaface.mimaface_core.diffusion.settings import SamplerSettings

    tokens = pack.appearance.encode_source(torch.zeros(1, 3, 32, 32))
    clips = sample_clips(
        pack,
        (torch.zeros(3, 32, 32) for _ in range(13)),
        lambda indices: pack.appearance.modulate(tokens, torch.ones(len(indices), 71)),
        13,
        SamplerSettings.of(pack),
    )
    assert [len(clip) for clip in clips] == [12, 1]


def test_bundled_sizes_fit_forty_megabytes():
    with torch.device("meta"):
        parts = {
            "unet": build_unet(BUNDLED_UNET),
            "vae": build_vae("AutoencoderTiny", BUNDLED_VAE),
            "appearance": AppearanceEncoder(**BUNDLED_APPEARANCE),
        }
    sizes = {name: sum(value.numel() for value in part.state_dict().values()) for name, part in parts.items()}
    assert sizes["unet"] < 9e6 and sizes["vae"] < 1e6 and sizes["appearance"] < 4e6
    assert 2 * sum(sizes.values()) < 40e6  # half precision
