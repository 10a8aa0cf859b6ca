"""Manifests of model packs: what they may hold, and the sentence that names each fault."""

import json

import pytest
from support.tiny_pack import manifest, rewrite

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.schedule import build_scheduler
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.find import find_pack
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.nodes.load_pack import LoadPack


def test_a_folder_without_a_usable_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match="manifest.json is missing"):
        ModelPack.load(tmp_path)
    for content in ("{", "[]"):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(InputError):
            ModelPack.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": 3}, "'name'"),
        ({"picture_size": "512"}, "'picture_size'"),
        ({"picture_size": 500}, "picture_size 500 is not a multiple of 64 from 64 to 2048"),
        ({"overlap": 12}, "overlap"),
        ({"render": "wire"}, "wire"),
        ({"morphable": {"kind": "flame"}}, "flame"),
        ({"latents": {}}, "latents.target"),
        ({"scheduler": {}}, "scheduler.prediction_type"),
        ({"sampling": {"steps": 4, "guidance": 1}}, "sampling.scheduler"),
        ({"vae": {"class": "AutoencoderTiny", "file": "vae.safetensors"}}, "vae.config"),
        ({"vae": {"class": "AutoencoderTiny", "config": {}, "file": "../vae.safetensors"}}, "vae.file"),
        ({"vae": {"class": "AutoencoderTiny", "config": {}, "file": "lost.safetensors"}}, "lost.safetensors"),
        ({"audio": "voice"}, "'audio' is not of type dict"),
        ({"picture_sise": 512}, "'picture_sise' is unknown, the closest known key is 'picture_size'; correct it or"),
        ({"sampling": {"scheduler": "euler", "step": 4}}, "'sampling.step' is unknown.*'steps'"),
        ({"scheduler": {"prediction_type": "noise"}}, "scheduler.prediction_type 'noise' is not one of sample"),
        ({"morphable": {"kind": "file"}}, "morphable: 'file' is missing"),
        ({"audio": {"file": "audio.safetensors"}}, "audio.config"),
        ({"audio": {"config": {}, "file": "audio.safetensors"}}, "audio.safetensors is not there"),
        ({"unet": {"config": {"cross_attention_dim": 8}, "file": "unet.safetensors"}}, "cross_attention_dim"),
        (
            {
                "vae": {
                    "class": "AutoencoderTiny",
                    "config": {"latent_channels": 8},
                    "file": "vae.safetensors",
                }
            },
            "8 latent channels",
        ),
    ],
)
def test_unusable_manifest_is_refused_before_loading(pack, changes, named):
    rewrite(pack, **changes)
    with pytest.raises(InputError, match=named):
        ModelPack.load(pack.folder)


def test_free_form_keys_are_read(pack):
    rewrite(pack, training={"steps": 3, "by": ["us"]}, license="MIT", attribution=None)
    assert ModelPack.load(pack.folder).manifest.training == {"steps": 3, "by": ["us"]}


def test_every_argument_of_the_noise_schedule_reaches_diffusers(pack):
    stated = {"prediction_type": "sample", "beta_start": 0.001, "steps_offset": 1, "use_karras_sigmas": True}
    rewrite(pack, scheduler=stated)
    config = ModelPack.load(pack.folder).scheduler
    assert config == stated and build_scheduler("euler", config, 2).config.use_karras_sigmas


def test_packs_of_every_earlier_version_are_read(pack):
    """The bundled pack's manifests since the first: fields came, none went."""
    whole = manifest(context="frame", face_share=0.5, format=1)
    whole["latents"] = {"target": "residual", "scale": 2.8653, "colour": False, "sampled": False}
    first = manifest(latents={"target": "residual", "scale": 3})
    for content in (first, {**first, "latents": {**first["latents"], "colour": False}}, whole):
        rewrite(pack, **content)
        read = ModelPack.load(pack.folder).manifest
        assert read.latents.sampled == content["latents"].get("sampled", True) and read.context == "frame"


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [({}, "copy them from where the pack came from into"), ({"sources": {}}, "mimaface pack convert DIR")],
)
def test_missing_files_are_named_with_source_and_place(pack, changes, remedy):
    rewrite(pack, **changes)
    (pack.folder / "unet.safetensors").unlink()
    (pack.folder / "vae.safetensors").unlink()
    with host.use(host.Host(models=[pack.folder.parent])):
        refused = LoadPack.validate_inputs(pack.folder.name)
    for part in ("vae.safetensors, unet.safetensors are not there", remedy, str(pack.folder)):
        assert part in refused


def test_a_config_that_the_class_refuses(pack):
    entry = manifest()["unet"]
    entry["config"]["depth"] = 3
    rewrite(pack, unet=entry)
    with pytest.raises(InputError, match="unet.config.*depth"):
        _ = ModelPack.load(pack.folder).unet


def test_a_config_of_another_type_than_the_class_takes(pack):
    entry = manifest()["appearance"]
    entry["config"]["vision"]["intermediate_size"] = [32]
    rewrite(pack, appearance=entry)
    with pytest.raises(InputError, match="appearance.config.*intermediate_size") as refused:
        _ = ModelPack.load(pack.folder).appearance
    assert "\n" not in str(refused.value)


def test_an_unknown_autoencoder_is_refused(pack):
    rewrite(pack, vae={**manifest()["vae"], "class": "VQModel"})
    with pytest.raises(InputError, match="VQModel"):
        _ = ModelPack.load(pack.folder).vae


def test_a_manifest_is_read_as_editors_save_it(pack):
    path = pack.folder / "manifest.json"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    assert ModelPack.load(pack.folder).name == pack.name


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (1, "'files' is not of type dict"),
        ({"unet.safetensors": {"sha256": "00"}}, "'files.unet.safetensors.bytes' is missing"),
        ({"unet.safetensors": {"bytes": 1}}, "'files.unet.safetensors.sha256' is missing"),
        ({"unet.safetensors": 1}, "'files.unet.safetensors' is not of type dict"),
    ],
)
def test_records_of_files_are_typed(pack, files, words):
    rewrite(pack, files=files)
    with pytest.raises(InputError, match=words):
        ModelPack.load(pack.folder)


def test_nested_manifests_and_long_names_are_refused(pack):
    with pytest.raises(InputError, match="There is no model pack 'a{40}…a{40}'"):
        find_pack("a" * 300)
    content = json.loads((pack.folder / "manifest.json").read_text(encoding="utf-8"))
    rewrite(pack, vae=content["vae"] | {"file": "a" * 300})
    with pytest.raises(InputError, match="not whole: a{40}…a{40} is not there"):
        ModelPack.load(pack.folder)
    (pack.folder / "manifest.json").write_text('{"a":' * 5000 + "1" + "}" * 5000)
    with pytest.raises(InputError, match="nested too deeply"):
        ModelPack.load(pack.folder)
