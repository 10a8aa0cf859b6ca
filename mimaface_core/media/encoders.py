"""Output formats as data: file suffix, container, codecs and qualities, in ffmpeg's arguments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """An output format.

    Attributes:
        suffix: of the file.
        muxer: ffmpeg's arguments for the container.
        codec: ffmpeg's arguments for the video codec; empty for formats that ffmpeg does not encode from frames.
        crf: usual constant rate factor, visually lossless; None for a codec without one.
        pixels: ffmpeg's arguments for the pixel format.
        transparent: those for frames with an alpha, after the others, or instead of them where `pixels` is empty; None
            for a format without transparency.
        audio: ffmpeg's arguments for the audio codec; empty for formats that hold no audio.
        even_sides: whether width and height must be even numbers of pixels.
    """

    suffix: str
    muxer: tuple[str, ...] = ()
    codec: tuple[str, ...] = ()
    crf: int | None = None
    pixels: tuple[str, ...] = ()
    transparent: tuple[str, ...] | None = None
    audio: tuple[str, ...] = ()
    even_sides: bool = False

    def video_arguments(self, crf: int | None = None, alpha: bool = False) -> list[str]:
        """Arguments of ffmpeg for the video stream.

        Args:
            crf: constant rate factor, lower is better and bigger; None for the usual one.
            alpha: whether the frames have one, which the format must be able to hold.
        """
        transparent = self.transparent or () if alpha else ()
        if alpha and not self.pixels:
            return list(transparent)
        quality = [] if self.crf is None else ["-crf", str(self.crf if crf is None else crf)]
        return [*self.codec, *quality, *self.pixels, *transparent]


# BT.601, and tagged so: players that heed the tag and readers that assume the old default then agree.
_YUV = (
    *("-vf", "scale=out_color_matrix=bt601:out_range=tv:flags=bicubic+accurate_rnd", "-pix_fmt", "yuv420p"),
    *("-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1", "-color_range", "tv"),
)

FORMATS = {
    "mp4": Format(
        ".mp4",
        muxer=("-f", "mp4", "-movflags", "+faststart+use_metadata_tags"),
        codec=("-c:v", "libx264", "-preset", "medium"),
        crf=16,
        pixels=_YUV,
        audio=("-c:a", "aac", "-b:a", "192k"),
        even_sides=True,
    ),
    "webm": Format(
        ".webm",
        muxer=("-f", "webm"),
        codec=("-c:v", "libvpx-vp9", "-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1"),
        crf=24,
        pixels=_YUV,
        transparent=("-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
        audio=("-c:a", "libopus", "-b:a", "160k"),
    ),
    "gif": Format(".gif", muxer=("-f", "gif"), transparent=()),
    "png": Format(".png", transparent=()),
    "lossless": Format(
        ".mov",
        muxer=("-f", "mov", "-movflags", "+use_metadata_tags"),
        codec=("-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0"),
        transparent=("-c:v", "ffv1", "-pix_fmt", "bgra"),
        audio=("-c:a", "pcm_f32le"),
    ),
}
