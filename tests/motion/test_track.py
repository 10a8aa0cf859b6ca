"""Motion tracks: cutting, joining, resampling, files."""

from fractions import Fraction

import pytest
import torch
from support.tracks import same, track

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.motion.track import BUNDLED, FaceCoefficients, MotionTrack


def test_cut_and_joined_again():
    whole = track()
    same(MotionTrack.concatenate([whole[:7], whole[7:8], whole[8:]]), whole)
    assert len(whole[3]) == 1 and len(whole[[5, 5, 2]]) == 3
    with pytest.raises(InputError, match="resample"):
        MotionTrack.concatenate([whole, whole.resample(Fraction(25))])


def test_resampling_keeps_duration_and_returns():
    ramp = track(30, Fraction(30))
    ramp = ramp.replace(gaze=torch.arange(30.0)[:, None].expand(30, 4) / 100)
    double = ramp.resample(Fraction(60))
    assert len(double) == 60 and double.fps == 60
    same(double[::2].replace(fps=ramp.fps), ramp)
    assert torch.allclose(double.gaze[1:-2].diff(dim=0), torch.tensor(0.005), atol=1e-6)
    assert len(track(1).resample(Fraction(10))) == 1


def test_saved_and_loaded(tmp_path):
    whole = track()
    whole.save(tmp_path / "m.safetensors")
    same(MotionTrack.load(tmp_path / "m.safetensors"), whole, 0)
    assert MotionTrack.load(tmp_path / "m.safetensors").fps == Fraction(30000, 1001)
    (tmp_path / "other.safetensors").write_bytes(b"no")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(InputError, match="cannot be read"):
            MotionTrack.load(tmp_path / name)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="gaze"):
        track().replace(gaze=torch.zeros(3, 4))
    with pytest.raises(InputError, match="257"):
        FaceCoefficients(torch.zeros(2, 256))


@pytest.fixture
def saved(tmp_path):
    """`saved(parts, notes)`: a motion file of three frames; parts or notes are replaced, or left out (None)."""
    from safetensors.torch import save_file

    def write(parts=None, notes=None):
        whole = {
            "coefficients": torch.zeros(3, 257),
            "gaze": torch.zeros(3, 4),
            "alignment": torch.zeros(3, 2, 3),
            "visible": torch.ones(3, dtype=torch.bool),
        } | (parts or {})
        texts = {"format": "mimaface.motion.1", "fps": "25", "basis": BUNDLED} | (notes or {})
        path = tmp_path / "changed.safetensors"
        save_file(
            {name: part for name, part in whole.items() if part is not None},
            path,
            {name: text for name, text in texts.items() if text is not None},
        )
        return path

    return write


@pytest.mark.parametrize("basis", [None, "procedural"])  # the oldest files name no face model
def test_a_motion_of_the_face_model_before_is_refused(saved, basis):
    with pytest.raises(InputError, match="face model of an older version; measure its clip again with Extract 3DMM"):
        MotionTrack.load(saved(notes={"basis": basis}))


@pytest.mark.parametrize("name", ["coefficients", "gaze", "alignment", "visible", "fps"])
def test_a_motion_file_without_a_part_is_refused_by_the_parts_name(saved, name):
    path = saved(notes={"fps": None}) if name == "fps" else saved({name: None})
    with pytest.raises(InputError, match=f"not whole: {name} is missing; save it again"):
        MotionTrack.load(path)


@pytest.mark.parametrize(
    "rate", ["1/0", "nan", "x", "", "25,5", "1e400", "1e-400", "1e999999999", "0", "-25", "inf", "9" * 5000, "1/1000"]
)
def test_a_motion_file_of_an_impossible_rate_is_refused(saved, rate):
    with pytest.raises(
        InputError, match="its frame rate '.*' is not a number from 0.01 to 1000; save the motion again"
    ):
        MotionTrack.load(saved(notes={"fps": rate}))


def test_parts_of_other_number_types_are_converted(saved):
    doubles = MotionTrack.load(
        saved(
            {
                "coefficients": torch.full((3, 257), 0.5, dtype=torch.float64),
                "gaze": torch.zeros(3, 4, dtype=torch.float16),
                "alignment": torch.ones(3, 2, 3, dtype=torch.int32),
                "visible": torch.tensor([1, 0, 1]),
            },
            {"fps": "29.97"},
        )
    )
    assert {part.dtype for part in (doubles.coefficients.values, doubles.gaze, doubles.alignment)} == {torch.float32}
    assert doubles.visible.tolist() == [True, False, True]
    assert doubles.fps == Fraction(2997, 100)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"coefficients": torch.ones(3, 257, dtype=torch.bool)}, "coefficients are of type bool, not numbers"),
        ({"gaze": torch.full((3, 4), float("nan"))}, "gaze hold values that are no finite numbers"),
        ({"gaze": torch.full((3, 4), 1e20)}, "gaze hold values above 1,000,000"),
        ({"visible": torch.tensor([0.5, 1, 0])}, "visible holds other values than true and false"),
        ({"alignment": torch.zeros(3, 3)}, "needs alignment of shape"),
    ],
)
def test_parts_that_cannot_be_converted_are_refused_as_they_are_read(saved, part, words):
    with pytest.raises(InputError, match=words):
        MotionTrack.load(saved(part))
