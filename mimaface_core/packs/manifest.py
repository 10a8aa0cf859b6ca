"""A pack's manifest: read, and refused before anything is loaded where it cannot work."""

import json
from pathlib import Path

from ..diffusion.unet import condition_channels
from ..diffusion.unet_released import VIDEO_CONFIG
from ..errors import InputError
from .parts import BUILDERS

MANIFEST = "manifest.json"
HOME = "https://huggingface.co/MIMAFace/MIMAFace"  # of the published weights
# What a manifest must hold, key by key.
FIELDS: dict[str, type] = {
    "name": str,
    "version": str,
    "picture_size": int,
    "clip_frames": int,
    "overlap": int,
    "morphable": dict,
    "render": str,
    "latents": dict,
    "vae": dict,
    "appearance": dict,
    "unet": dict,
    "scheduler": dict,
    "sampling": dict,
}
FORMAT = 1  # of manifests: those that leave `format` out have it, those of newer versions may have a higher one
PARTS = ("vae", "appearance", "unet")
# The parts with weights that a pack may do without. The picture's two, for clips of one frame, go together.
OPTIONAL = ("picture_appearance", "picture_unet", "regressor", "audio")
RENDERS = ("albedo", "projected")
MORPHABLES = ("procedural", "file")
FACES = ("landmarks", "regressor")
CONTEXTS = ("frame", "clip")
# Fields that a manifest may leave out, with what they then are and what they can be.
CHOICES = {"face": FACES, "context": CONTEXTS}
FACE_SHARE = 0.56  # of the crop's side that the face's box fills, where a manifest does not state it
WIDTH = VIDEO_CONFIG["cross_attention_dim"]  # of tokens, where the released classes are not told otherwise


def read_manifest(folder: Path) -> dict:
    """The manifest in a folder; raises `InputError` when there is none or it is not usable."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no model pack: {MANIFEST} is missing; choose a pack's folder.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); install the pack again.") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{path} is not a JSON object; install the pack again.")
    return manifest


def parts_of(manifest: dict) -> tuple[str, ...]:
    """The parts with weights that a manifest lists."""
    return (*PARTS, *(part for part in OPTIONAL if part in manifest))


def check_manifest(folder: Path, manifest: dict) -> None:
    """Refuse, as `InputError`, a manifest that lacks a field or contradicts itself, or whose files are missing."""
    where = folder / MANIFEST

    def refuse(problem: str) -> None:
        raise InputError(f"{where}: {problem}; correct it or install the pack again.")

    newest = manifest.get("format", FORMAT)
    if not isinstance(newest, int) or newest > FORMAT:
        raise InputError(f"{where} is of format {newest}, which a newer version of this project reads; update it.")

    # Every field, of its type.
    for field, kind in FIELDS.items():
        if not isinstance(manifest.get(field), kind):
            refuse(f"'{field}' is missing or not of type {kind.__name__}")
    if manifest["render"] not in RENDERS:
        refuse(f"render '{manifest['render']}' is not one of {', '.join(RENDERS)}")
    for field, values in CHOICES.items():
        if manifest.get(field, values[0]) not in values:
            refuse(f"{field} '{manifest[field]}' is not one of {', '.join(values)}")
    if manifest["morphable"].get("kind") not in MORPHABLES:
        refuse(f"morphable.kind '{manifest['morphable'].get('kind')}' is not one of {', '.join(MORPHABLES)}")
    if not 0 <= manifest["overlap"] < manifest["clip_frames"]:
        refuse("overlap must be from 0 to clip_frames - 1")
    for field, key in (
        ("latents", "target"),
        ("vae", "class"),
        ("scheduler", "prediction_type"),
        ("sampling", "scheduler"),
        ("sampling", "steps"),
        ("sampling", "guidance"),
    ):
        if key not in manifest[field]:
            refuse(f"'{field}.{key}' is missing")

    # Every part has a configuration, a class that is known, and a file inside the pack.
    entries = {part: manifest[part] for part in parts_of(manifest)}
    for part, entry in entries.items():
        if not isinstance(entry, dict):
            refuse(f"'{part}' is not of type dict")
        if not isinstance(entry.get("config"), dict):
            refuse(f"'{part}.config' is missing or not an object")
        known = BUILDERS[part]
        if part != "vae" and entry.get("class") not in known:
            refuse(f"{part}.class '{entry.get('class')}' is not one of {', '.join(filter(None, known))}")
    if manifest["morphable"]["kind"] == "file":
        entries["morphable"] = manifest["morphable"]
    for part, entry in entries.items():
        file = entry.get("file")
        if not isinstance(file, str) or Path(file).name != file:
            refuse(f"'{part}.file' is not a file name")
    missing = [entry["file"] for entry in entries.values() if not (folder / entry["file"]).is_file()]
    if missing:
        raise InputError(
            f"The pack '{manifest['name']}' is not whole: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not"
            f" there; {_source(folder, manifest)}."
        )

    # The parts fit each other.
    if manifest.get("face") == "regressor" and not {"regressor", "morphable"} <= entries.keys():
        refuse("face 'regressor' needs the part 'regressor' and a face model of its own")
    if ("picture_unet" in entries) != ("picture_appearance" in entries):
        refuse("'picture_unet' and 'picture_appearance' are only useful together")
    for stage in ("", "picture_"):
        if f"{stage}unet" in entries:
            _check_stage(stage, manifest, refuse)


def _source(folder: Path, manifest: dict) -> str:
    """Where the files of a pack come from and where they go."""
    if "sources" in manifest:
        return f"make the pack again with `mimaface pack convert DIR {folder}` from the published weights, {HOME}"
    if folder.parent == Path(__file__).parent:
        return f"install this project again: they belong into {folder}"
    return f"copy them from where the pack came from into {folder}"


def _check_stage(stage: str, manifest: dict, refuse) -> None:
    """U-Net, appearance encoder and autoencoder of one stage must fit each other."""
    unet, appearance = manifest[f"{stage}unet"], manifest[f"{stage}appearance"]
    wide = unet["config"].get("cross_attention_dim", WIDTH if unet.get("class") else None)
    if wide != appearance["config"].get("context_dim", WIDTH if appearance.get("class") else None):
        refuse(f"{stage}unet.config.cross_attention_dim differs from {stage}appearance.config.context_dim")
    channels = manifest["vae"]["config"].get("latent_channels", 4)
    inputs = condition_channels(channels)
    config = unet["config"]
    if config.get("out_channels", 4) != channels or config.get("in_channels", inputs) != inputs:
        refuse(f"the U-Net does not fit {channels} latent channels, which need {inputs} in and {channels} out")
