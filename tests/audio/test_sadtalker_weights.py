"""SadTalker's released files: both layouts, missing, damaged and foreign ones, and the face model they need."""

from pathlib import Path

import pytest
import torch
from scipy.io import savemat
from support import sadtalker
from support.faces import stand_in
from support.sadtalker import FPS, speech, write_released

from mimaface.mimaface_core.audio.sadtalker.driver import SadTalkerDriver
from mimaface.mimaface_core.audio.sadtalker.weights import OLDER, RELEASED, find_sadtalker, find_sadtalker_files
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.face import bundled_face


@pytest.fixture(scope="module")
def values():
    return sadtalker.state_dicts()


@pytest.fixture(scope="module")
def source():
    return sadtalker.source()


def test_both_layouts_give_the_same_driver(values, source, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two" / "sadtalker"
    one.mkdir()
    two.mkdir(parents=True)
    write_released(one, values, RELEASED[1])
    for name, state in zip(OLDER, values.values()):
        torch.save({"model": state, "epoch": 300}, two / name)
    wanted = SadTalkerDriver(*sadtalker.networks(values)).drive(speech(0.4), source, FPS).coefficients.values
    for folders in ([tmp_path / "nowhere", one], [tmp_path / "two"]):
        found = find_sadtalker(folders, None)
        assert torch.equal(found.drive(speech(0.4), source, FPS).coefficients.values, wanted)


def test_missing_weights_are_named(values, tmp_path):
    with pytest.raises(InputError, match=f"{RELEASED[0]}.*OpenTalker/SadTalker") as refused:
        find_sadtalker_files([tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "a") in str(refused.value) and str(tmp_path / "b") in str(refused.value)
    torch.save({"model": values["audio2exp"]}, tmp_path / OLDER[0])
    with pytest.raises(InputError, match=f"{OLDER[0]} lacks its other half"):
        find_sadtalker([tmp_path])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"audio2exp.mapping1.bias": None}, "'mapping1.bias' is missing"),
        ({"audio2exp.mapping2.bias": torch.zeros(64)}, "'mapping2.bias' is unknown"),
        ({"audio2pose.netG.decoder.pose_linear.bias": torch.zeros(7)}, r"has shape \[7\] instead of \[6\]"),
    ],
)
def test_weights_that_do_not_fit(values, tmp_path, change, words):
    write_released(tmp_path, values, **change)
    with pytest.raises(InputError, match=words) as refused:
        find_sadtalker([tmp_path])
    assert RELEASED[0] in str(refused.value) and str(refused.value).count(". ") == 0


def test_damaged_and_foreign_files(values, tmp_path):
    released = tmp_path / RELEASED[0]
    write_released(tmp_path, values)
    whole = released.read_bytes()
    for content in (whole[:100_000], whole[:4], b"", b"<html>not found</html>"):
        released.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            find_sadtalker([tmp_path])
    released.unlink()
    expression, pose = (tmp_path / name for name in OLDER)
    torch.save({"model": values["audio2exp"]}, expression)
    torch.save({"model": values["audio2pose"]}, pose)
    whole = pose.read_bytes()
    for content in (whole[:100_000], whole[:4], b"", b"<html>not found</html>", b"\x80\x02" + bytes(9)):
        pose.write_bytes(content)
        with pytest.raises(InputError, match=f"{OLDER[1]} cannot be read"):
            find_sadtalker([tmp_path])
    torch.save({"model": values["audio2pose"], "optimizer": Path("anything")}, pose)
    with pytest.raises(InputError, match="code to be run"):
        find_sadtalker([tmp_path])
    for content in ([1], {"model": {"a": 1}}):
        torch.save(content, pose)
        with pytest.raises(InputError, match="no state dict"):
            find_sadtalker([tmp_path])


def test_another_face_model_needs_bfm09(values, source, tmp_path):
    theirs, _, _ = stand_in()
    face, voice = bundled_face(), speech(1)
    write_released(tmp_path, values)
    with pytest.raises(InputError, match="BFM09_model_info.mat.*research only"):
        find_sadtalker([tmp_path], face)
    flat = {"meanshape": theirs.mean_shape.reshape(1, -1), "meantex": theirs.mean_texture.reshape(1, -1)}
    for key, basis in {"idBase": "identity", "exBase": "expression", "texBase": "texture"}.items():
        flat[key] = getattr(theirs, f"{basis}_basis").flatten(0, 1)
    flat |= {"tri": theirs.triangles + 1, "keypoints": theirs.keypoints[None] + 1}
    flat["point_buf"] = torch.full((len(theirs.mean_shape), 8), len(theirs.triangles) + 1)
    (tmp_path / "D3DFR").mkdir()
    savemat(tmp_path / "D3DFR" / "BFM09_model_info.mat", {k: v.numpy() for k, v in flat.items()})
    found = find_sadtalker([tmp_path], face).drive(voice, source, FPS, blinks=0).coefficients
    direct = SadTalkerDriver(*sadtalker.networks(values), theirs, face)
    track = direct.drive(voice, source, FPS, blinks=0).coefficients
    torch.testing.assert_close(found.expression, track.expression, rtol=0, atol=1e-3)
