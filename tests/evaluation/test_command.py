"""`mimaface evaluate` and the node Evaluate, from files to JSON."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from support.films import noise as static
from support.films import write
from support.scenes import clip, moved, needs_faces, nodding, noise
from support.sounds import sound, talk

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.scores import WEIGHTS_FOLDER
from mimaface.nodes.comfyui.schema import VideoFromFile
from mimaface.nodes.evaluate import Evaluate

pytestmark = needs_faces


def test_a_video_is_scored_against_its_driver(evaluate, tmp_path):
    video = clip(tmp_path / "driver.mp4", nodding(24), audio=sound(talk((1, -20))))
    status, out, _ = evaluate("--output", video, "--driver", video, "--same", "--report", "report", "--clip", 8)
    result = json.loads(out.splitlines()[-1])
    scores = result["scores"]
    assert status == 0 and result["protocol"] == "same" and result["frames"] == 24
    assert scores["pose_distance"]["value"] < 0.1 and scores["pose_distance"]["unit"] == "°"
    assert scores["sharpness"]["value"] > 0.5 and "every 5" in scores["boundary_jump"]["estimator"]
    assert scores["motion"]["value"] > 0.99 and scores["gain"]["value"] == pytest.approx(1, abs=0.02)
    assert scores["psnr"]["value"] > 40 and scores["psnr_above_still"]["value"] > 5
    assert scores["fvd_like_bundled"]["value"] is None and "1 samples" in scores["fvd_like_bundled"]["reason"]
    for key, file in (("lpips", "alexnet"), ("csim", "CurricularFace"), ("fid", "inception"), ("fvd", "i3d")):
        reason = scores[key]["reason"]
        assert scores[key]["value"] is None and file in reason and WEIGHTS_FOLDER in reason
    assert all(score.get("estimator") for score in scores.values() if score["value"] is not None)
    assert scores["lse_c"]["value"] is None and "syncnet" in scores["lse_c"]["reason"].lower()
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 13 and page.count("<polyline") == 20
    assert not re.search(r'(src|href)="(?!data:)', page), "the report is not self-contained"


def test_a_folder_is_scored_without_the_refused_videos(evaluate, tmp_path):
    for folder in ("out", "drivers"):
        (tmp_path / folder).mkdir()
        clip(tmp_path / folder / "nod.mp4", nodding(8))
        write(tmp_path / folder / "none.mp4", static(6, 64, 64))
    status, out, err = evaluate("--output", "out", "--driver", "drivers", "--frames", 6, "--json", "all.json")
    result = json.loads(out.splitlines()[-1])
    assert status == 0 and result == json.loads((tmp_path / "all.json").read_text())
    assert [pair["name"] for pair in result["pairs"]] == ["nod", "none"] and result["pairs"][0]["frames"] == 6
    assert "No face was found" in result["pairs"][1]["reason"]
    assert result["scores"]["pose_distance"]["pairs"] == 1 and "motion: " in err


def test_bad_options_are_refused_in_a_sentence(evaluate, tmp_path):
    video = clip(tmp_path / "a.mp4", [moved()] * 3)
    for arguments, message in (
        ([], "nothing to score"),
        (["--output", video, "--driver", video, "--frames", 0], "at least one frame"),
        (["--output", video, "--driver", video, "--overlap", 12], "cannot overlap"),
        (["--output", video, "--same"], "has no audio"),
        (["--output", video, "--driver", "gone.mp4"], "'gone.mp4' was not found"),
        (["--output", video, "--source", video], "not a readable image"),
    ):
        status, out, err = evaluate(*arguments)
        assert status == 2 and out == "" and message in err.splitlines()[-1]


def test_a_video_is_scored_by_itself(evaluate, tmp_path):
    video = clip(tmp_path / "a.mp4", [*nodding(30), noise(), noise()], audio=sound(talk((1.28, -20))))
    status, out, err = evaluate("--output", video, "--json", "scores.json")
    result = json.loads(out.splitlines()[-1])
    assert status == 0 and result == json.loads((tmp_path / "scores.json").read_text())
    assert result["sync"]["frames"] == 32 and result["sync"]["face_seen"] >= 0.9
    assert result["sync"]["lse"]["lse_c"] is None and "syncnet_v2.model" in result["sync"]["lse"]["reason"]
    assert "mediapipe" in result["sync"]["mouth"]["estimator"] and "LSE-C, LSE-D (SyncNet" in err
    assert "needs 10 s" in err or "10 s in which" in err


def test_the_voice_may_be_a_file_and_shorter_than_the_video(evaluate, tmp_path):
    video = clip(tmp_path / "a.mp4", [moved()] * 30)
    voice = clip(tmp_path / "voice.mp4", [noise((64, 64))] * 10, audio=sound(talk((0.4, -20))))
    status, out, err = evaluate("--output", video, "--audio", voice)
    assert status == 0 and "audio is shorter than the video" in err
    assert json.loads(out.splitlines()[-1])["sync"]["mouth"]["correlation"] is None


def test_bad_files_are_refused_in_a_sentence(evaluate, tmp_path, monkeypatch):
    mute = clip(tmp_path / "mute.mp4", [moved()] * 3)
    faceless = clip(tmp_path / "noise.mp4", [noise()] * 3, audio=sound(talk((0.2, -20))))
    for arguments, message in (
        (["--output", mute], "'mute.mp4' has no audio; name the voice with --audio"),
        (["--output", "gone.mp4"], "'gone.mp4' was not found"),
        (["--output", mute, "--audio", mute], "'mute.mp4' has no "),
        (
            ["--output", faceless, "--syncnet", "none.model"],
            f"There are no SyncNet weights at {tmp_path / 'none.model'}",
        ),
        (["--output", faceless, "--json", "no/folder.json"], "there is no such folder"),
        (["--output", faceless], "No face was found in any of the clip's 3 frames"),
    ):
        status, out, err = evaluate(*arguments)
        assert status == 2 and out == "" and message in err.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    status, _, err = evaluate("--output", faceless)
    assert status == 2 and "No face was found" in err


# -- the node


def test_the_node_returns_json_and_an_image(tmp_path):
    video = clip(tmp_path / "a.mp4", nodding(14), fps=30)
    frames = torch.from_numpy(np.stack(nodding(14))).float() / 255
    with host.use(host.Host(models=[tmp_path], temp=tmp_path / "temp", device="cpu")):
        scores, table = Evaluate.execute(frames, False, frames[:1], VideoFromFile(str(video))).args
        alone = VideoFromFile(str(clip(tmp_path / "b.mp4", [noise()] * 3)))
        with pytest.raises(InputError, match="The source of 'output': No face was found"):
            Evaluate.execute(alone, True, None, alone)
    result = json.loads(scores)
    assert result["protocol"] == "cross" and result["compared"] == 14 and result["fps"] == 30.0
    assert result["scores"]["motion"]["value"] > 0.9 and result["scores"]["psnr"]["value"] is None
    assert table.shape[0] == 1 and table.shape[2:] == (1280, 3) and 0 <= table.min() < 0.5 < table.max() <= 1
