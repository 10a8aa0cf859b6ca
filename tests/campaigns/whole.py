"""What a folder of results must be like: whole files, and nothing that is temporary."""

import hashlib
from pathlib import Path

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.image import open_image
from mimaface.mimaface_core.media.read import Clip

IMAGES, VIDEOS, WEIGHTS = (".png",), (".mp4", ".webm", ".gif", ".mov"), (".safetensors",)


def _files(folder: Path):
    """Files under final names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def faults(folder: Path) -> list[str]:
    """Files under final names that are not whole."""
    return [fault for path in _files(folder) if (fault := _fault(path))]


def _fault(path: Path) -> str:
    try:
        if path.suffix in IMAGES:
            with open_image(path) as image:
                image.load()
        elif path.suffix in VIDEOS and not sum(1 for _ in Clip.open(path)):
            return f"{path.name} has no frame"
        elif path.suffix in WEIGHTS:
            from safetensors import SafetensorError, safe_open

            try:
                with safe_open(str(path), "pt") as file:
                    [file.get_tensor(name) for name in file.keys()]
            except SafetensorError as error:
                return f"{path.name} is broken: {error}"
    except InputError as error:
        return f"{path.name} is broken: {error}"
    return ""


def content(path: Path) -> str:
    """A hash of what a file shows: pixels of images and videos, tensors of weights, bytes of others."""
    summed = hashlib.sha256()
    if path.suffix in VIDEOS:
        for frame in Clip.open(path):
            summed.update(frame.numpy().tobytes())
    elif path.suffix in IMAGES:
        with open_image(path) as image:
            summed.update(image.tobytes())
    elif path.suffix in WEIGHTS:
        from safetensors.torch import load_file

        for name, tensor in sorted(load_file(path).items()):
            summed.update(name.encode() + tensor.numpy().tobytes())
    else:
        summed.update(path.read_bytes())
    return summed.hexdigest()


def leftovers(folder: Path) -> list[str]:
    """Temporary files anywhere below a folder."""
    hidden = (".part-", ".mimaface-unfinished")
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.startswith(hidden)] + [
        path.relative_to(folder).as_posix()
        for path in (folder / "tmp").rglob("*")
        if not path.name.startswith("torchinductor")  # PyTorch's own cache
    ]
