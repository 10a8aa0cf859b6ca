"""The nodes: one file a node, each thin over the core's pipeline."""

from .combine_video import CombineVideo
from .comfyui.schema import ComfyExtension, io
from .detect import Detect
from .detect_gaze import DetectGaze
from .drive_by_audio import DriveByAudio
from .drive_implicit import DriveImplicit
from .edit_motion import EditMotion
from .edit_video import EditVideo
from .encode_appearance import EncodeAppearance
from .encode_implicit import EncodeImplicit
from .evaluate import Evaluate
from .extract_3dmm import Extract3DMM
from .keyframe_motion import KeyframeMotion
from .load_motion import LoadMotion
from .load_pack import LoadPack
from .mix_motion import MixMotion
from .motion_statistics import MotionStatistics
from .motion_to_keyframes import MotionToKeyframes
from .paste_back import PasteBack
from .plot_motion import PlotMotion
from .render_implicit import RenderImplicit
from .render_motion import RenderMotion
from .retarget_motion import RetargetMotion
from .sample_clips import SampleClips
from .save_motion import SaveMotion
from .smooth_motion import SmoothMotion
from .speak_implicit import SpeakImplicit
from .stream import Stream

NODES: list[type[io.ComfyNode]] = [
    LoadPack,
    Extract3DMM,
    DetectGaze,
    DriveByAudio,
    EditMotion,
    KeyframeMotion,
    MixMotion,
    MotionToKeyframes,
    EditVideo,
    RetargetMotion,
    SmoothMotion,
    MotionStatistics,
    EncodeAppearance,
    SampleClips,
    RenderMotion,
    EncodeImplicit,
    SpeakImplicit,
    DriveImplicit,
    RenderImplicit,
    Stream,
    PasteBack,
    CombineVideo,
    PlotMotion,
    Evaluate,
    Detect,
    SaveMotion,
    LoadMotion,
]


class MIMAFaceExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self) -> list[type]:
        return list(NODES)


__all__ = ["NODES", "MIMAFaceExtension"]
