"""Stream: the source moves like the face before a camera, a few frames in each run of the queue."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.face.implicit_source import ImplicitSource as EncodedSource
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.implicit_live import LiveDriver
from ..mimaface_core.live import LiveClips, live_driver
from ..mimaface_core.packs.find import AnyPack
from ..mimaface_core.packs.pack import ModelPack
from .comfyui.schema import io
from .extract_3dmm import UNCONNECTED, tracker_fault, tracker_input
from .node import Node, verdict
from .sockets import CATEGORY, ImplicitSource, Pack, Source
from .streams import frames_of

MOST_STREAMS = 4  # that are kept between runs

_Key = tuple[str, ...]  # node, source, tracker, whether it diffuses, and what tells the pack's weights from others


class Stream(Node):
    """The source's frames for those of a camera; what is known of the driver is kept from run to run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceStream",
            display_name="Stream (MIMAFace)",
            category=CATEGORY,
            description="Moves a photograph like the face before a camera: each run of the queue draws the frames that"
            " it is given and goes on where the last one ended.",
            inputs=[
                Pack.Input(
                    "pack",
                    tooltip="A model pack, from Load Pack: `bundled-implicit` for speed, one with a face model for"
                    " diffusion.",
                ),
                io.MultiType.Input(
                    "source",
                    types=[Source, ImplicitSource],
                    tooltip="The person to be animated, with the same pack: from Encode Implicit for implicit motion,"
                    " else from Extract 3DMM.",
                ),
                io.Image.Input("driver", tooltip="The next frame of the driver, or several, such as Webcam Capture's."),
                io.Boolean.Input(
                    "reset",
                    default=False,
                    tooltip="Whether the driver's face of this run counts as at rest, in place of the first one's."
                    " Turn it on for one run, with a calm face that looks into the camera.",
                ),
                tracker_input(),
                io.Boolean.Input(
                    "diffuse",
                    default=True,
                    optional=True,
                    tooltip="Off: of a pack with a face model, the renders that condition diffusion are shown, which"
                    " come at once.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="As many frames of the animated face crop."),
                io.Boolean.Output(display_name="found", tooltip="Whether the last frame showed the driver's face."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, tracker: str | None = None) -> bool | str:
        return verdict(cls.option_fault(tracker=tracker) or tracker_fault(tracker, UNCONNECTED))

    @classmethod
    def execute(
        cls,
        pack: AnyPack,
        source: SourceFace | EncodedSource,
        driver: Tensor,
        reset: bool,
        tracker: str = TRACKERS[0],
        diffuse: bool = True,
    ) -> io.NodeOutput:
        stream = kept_stream(str(cls.hidden.unique_id), pack, source, tracker, diffuse)
        if reset:
            stream.rest()
        frames = frames_of(driver)
        with host.current().progress(frames.count, "streaming") as progress:
            drawn = []
            for frame in frames:
                drawn.append(stream.add(frame))
                progress.update()
        if not drawn:
            raise InputError("driver has no image; connect a camera, or a batch of at least one image.")
        return io.NodeOutput(torch.stack(drawn), stream.found)


_kept: OrderedDict[_Key, LiveDriver | LiveClips] = OrderedDict()


def kept_stream(
    node: str, pack: AnyPack, source: SourceFace | EncodedSource, tracker: str, diffuse: bool = True
) -> LiveDriver | LiveClips:
    """What a node has kept of equal inputs, or a new stream; the last MOST_STREAMS are kept.

    Raises:
        InputError: a source of another kind than the pack's.
    """
    likeness = hashlib.sha256(source.crop.cpu().numpy().tobytes()).hexdigest()
    weights = pack.stamps if isinstance(pack, ModelPack) else [str(pack.folder)]
    key = (node, likeness, tracker, str(diffuse), *weights)
    stream = _kept.pop(key, None) or live_driver(pack, source, tracker, diffuse)
    _kept[key] = stream
    while len(_kept) > MOST_STREAMS:
        _kept.popitem(last=False)
    return stream
