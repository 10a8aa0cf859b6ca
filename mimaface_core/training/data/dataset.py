"""Training samples on disk: one safetensors file for each person and clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ...files import replacing
from ..people.camera import from_jpeg, to_jpeg
from ..people.inference import FREEDOM_UNIT, WEIGHT_UNIT
from ..people.synthesis import Sample, make_sample


def sample_path(folder: Path, seed: int) -> Path:
    """Path of synthetic sample number `seed`."""
    return folder / f"person-{seed:06d}.safetensors"


def save_sample(path: Path, sample: Sample, person: str, kind: str = "synthetic") -> None:
    """Write a sample; the file appears under its name only when complete. Equal samples give equal bytes.

    Args:
        path: of the file.
        sample: source image and clip.
        person: label of the identity, which all samples of one person share.
        kind: `synthetic` or `video`.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {"source": _bytes(sample.source), "motion": sample.motion.contiguous()}
    tensors |= {"weight": sample.weight, "freedom": sample.freedom}
    for i, (target, render) in enumerate(zip(sample.targets, sample.renders, strict=True)):
        tensors[f"target_{i:02d}"], tensors[f"render_{i:02d}"] = _bytes(target), _bytes(render)
    with replacing(path) as part:
        part.write_bytes(_ordered(save(tensors, {"person": person, "kind": kind})))


def _ordered(content: bytes) -> bytes:
    """A safetensors file with its notes in order; the library puts them in another one each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _bytes(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())


class StoredSample:
    """A sample on disk, read tensor by tensor.

    Args:
        path: of the file.

    Attributes:
        frames: N, of the clip.
        person: label of the identity; of a file without one, its own name.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            file = safe_open(str(path), "pt")
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"The training sample {path} cannot be read ({error}); delete it and make the data again."
            ) from error
        self._tensor: Callable[[str], Tensor] = file.get_tensor
        self._where = str(path)
        self.frames: int = file.get_slice("motion").get_shape()[0]
        self.person: str = (file.metadata() or {}).get("person", path.stem)

    @classmethod
    def of_bytes(cls, content: bytes, where: str) -> StoredSample:
        """A sample in memory.

        Args:
            content: of its file.
            where: it lies, for messages.

        Raises:
            InputError: it cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        sample = cls.__new__(cls)
        try:
            tensors = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        except (SafetensorError, ValueError) as error:
            raise InputError(
                f"The training sample {where} cannot be read ({error}); write the shards again."
            ) from error
        sample._tensor, sample.frames = tensors.__getitem__, len(tensors["motion"])
        sample._where = where
        sample.person = header["__metadata__"]["person"]
        return sample

    @property
    def motion(self) -> Tensor:
        """Coefficients [N, 71] of the fitted track."""
        return self._tensor("motion")

    @property
    def weight(self) -> Tensor:
        """Loss weights [N, 64, 64], float32."""
        return self._tensor("weight").float() * WEIGHT_UNIT

    @property
    def freedom(self) -> Tensor:
        """How far inference lets frames depart from the renders [N, 64, 64] in 0–1, float32.

        Raises:
            InputError: the sample was made by a version that did not store it.
        """
        from safetensors import SafetensorError

        try:
            return self._tensor("freedom").float() * FREEDOM_UNIT
        except (KeyError, SafetensorError) as error:
            raise InputError(
                f"The training sample {self._where} is of an earlier version; delete it and make the data again."
            ) from error

    def source(self) -> Tensor:
        """Source image uint8 [3, 512, 512]."""
        return self._jpeg("source")

    def image(self, kind: str, frame: int) -> Tensor:
        """Image uint8 [3, 512, 512] of one frame; kind: `target` or `render`."""
        return self._jpeg(f"{kind}_{frame:02d}")

    def _jpeg(self, name: str) -> Tensor:
        return from_jpeg(self._tensor(name).numpy().tobytes())


def read_tensors(path: Path, needed: tuple[str, ...]) -> dict[str, Tensor]:
    """Tensors of a file of training data.

    Raises:
        InputError: the file cannot be read, or lacks one of those that are needed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        missing = [name for name in needed if name not in tensors]
        reason: object = f"it lacks {missing[0]}" if missing else ""
    except (OSError, SafetensorError) as error:
        tensors, reason = {}, error
    if reason:
        raise InputError(f"The training data {path} is damaged ({reason}); delete it and make the data again.")
    return tensors


def jpeg_tensors(images: Tensor, quality: int) -> dict[str, Tensor]:
    """Images uint8 [N, 3, H, W] as JPEG files of a quality, by name, for a safetensors file."""
    files = [to_jpeg(image.float() / 255, quality) for image in images]
    return {f"image_{i:02d}": torch.frombuffer(bytearray(file), dtype=torch.uint8) for i, file in enumerate(files)}


def jpeg_images(tensors: dict[str, Tensor]) -> Tensor:
    """The images uint8 [N, 3, H, W] that `jpeg_tensors` gave."""
    names = sorted(name for name in tensors if name.startswith("image_"))
    return torch.stack([from_jpeg(tensors[name].numpy().tobytes()) for name in names])


def make_data(folder: Path, seeds: range, frames: int, make: Callable[[Sequence[int]], None] | None = None) -> None:
    """Make the synthetic samples that do not exist yet.

    Args:
        folder: of the samples.
        seeds: numbers of the samples; each of several processes takes its own.
        frames: of a clip.
        make: makes the samples of these numbers; one after another here when None.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror) from error
    missing = [seed for seed in seeds if not sample_path(folder, seed).is_file()]
    if make is not None:
        make(missing)
        return
    with host.current().progress(len(missing), "synthetic people") as progress:
        for seed in missing:
            make_person(folder, seed, frames)
            progress.update()


def make_person(folder: Path, seed: int, frames: int) -> None:
    """Make synthetic sample number `seed`, with a clip of so many frames. Raises InputError as `make_data`."""
    from safetensors import SafetensorError

    sample = make_sample(seed, frames)
    try:
        save_sample(sample_path(folder, seed), sample, person=str(seed))
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, reason: object) -> InputError:
    return InputError(
        f"{folder} cannot be written ({reason}); make room, or choose another folder, and start again: finished samples"
        " are kept."
    )


def stored_samples(folder: Path) -> list[Path]:
    """Samples of a folder in a stable order; unfinished files are left out.

    Raises:
        InputError: there are none.
    """
    paths = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no training data; run the stage 'data' first, or track videos into it.")
    return paths
