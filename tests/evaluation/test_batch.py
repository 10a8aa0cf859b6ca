"""Whole evaluations: pairs found by name and list, many pairs, the report, the command and the node."""

import json
import re

import numpy as np
import pytest
import torch
from support.films import noise as static
from support.films import write
from support.scenes import clip, moved, needs_faces, nodding, noise
from support.sounds import sound, talk

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.evaluation.batch import Protocol, find_pairs, summary
from mimaface.mimaface_core.evaluation.evaluate import Scored
from mimaface.mimaface_core.evaluation.footage import Pair
from mimaface.mimaface_core.evaluation.report import write_report
from mimaface.mimaface_core.evaluation.scores import FOLDER, HIGHER, absent, measured
from mimaface.nodes.comfyui.schema import VideoFromFile
from mimaface.nodes.evaluate import Evaluate


@pytest.fixture
def folders(tmp_path):
    """out/, sources/, drivers/ and voices/ with empty files in them."""

    def make(**content):
        for folder, names in content.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in names.split():
                (tmp_path / folder / name).touch()
        return [
            tmp_path / name if (tmp_path / name).is_dir() else None for name in ("out", "sources", "drivers", "voices")
        ]

    return make


def names(pairs):
    return [[path and path.name for path in (p.output, p.source, p.driver, p.audio)] for p in pairs]


# --- which belongs to which


def test_cross_identity_outputs_are_called_by_source_and_driver(folders):
    out, sources, drivers, _ = folders(
        out="a_x.mp4 a_b_x_00002_.mp4 c_y_00001.mp4 notes.txt",
        sources="a.jpg a_b.png c.jpg",
        drivers="x.mp4 y_00001.mp4",
    )
    assert names(find_pairs(out, sources, drivers)) == [
        ["a_b_x_00002_.mp4", "a_b.png", "x.mp4", None],
        ["a_x.mp4", "a.jpg", "x.mp4", None],
        ["c_y_00001.mp4", "c.jpg", "y_00001.mp4", None],
    ]


def test_self_reenactments_and_single_sources_are_called_by_their_drivers(folders):
    out, sources, drivers, voices = folders(
        out="x.mp4 y_00003_.mp4", sources="a.jpg", drivers="x.mp4 y.mp4", voices="y.wav"
    )
    assert names(find_pairs(out, None, drivers, voices, same=True)) == [
        ["x.mp4", None, "x.mp4", None],
        ["y_00003_.mp4", None, "y.mp4", "y.wav"],
    ]
    assert names(find_pairs(out, sources / "a.jpg", drivers))[1] == ["y_00003_.mp4", "a.jpg", "y.mp4", None]
    assert names(find_pairs(out, None, drivers / "x.mp4"))[1] == ["y_00003_.mp4", None, "x.mp4", None]
    with pytest.raises(InputError, match=r"Nothing belongs to x\.mp4; call outputs SOURCE_DRIVER"):
        find_pairs(out, sources, drivers)


def test_a_list_names_what_belongs_together(folders, tmp_path):
    folders(out="1.mp4 2.mp4", sources="a.jpg", drivers="x.mp4")
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffoutput,source,driver\nout/1.mp4,sources/a.jpg,drivers/x.mp4\nout/2.mp4,,drivers/x.mp4\n")
    found = [["1.mp4", "a.jpg", "x.mp4", None], ["2.mp4", None, "x.mp4", None]]
    assert names(find_pairs(None, listed=table)) == found
    other = tmp_path / "pairs.json"
    other.write_text(json.dumps([{"output": "out/1.mp4", "driver": "drivers/x.mp4"}]))
    assert names(find_pairs(None, listed=other)) == [["1.mp4", None, "x.mp4", None]]
    for text, said in (
        ("output,driven\nout/1.mp4,drivers/x.mp4\n", "unknown column driven"),
        ("output,driver\nout/1.mp4,drivers/z.mp4\n", "z.mp4 was not found"),
        ("clip,driver\nout/1.mp4,drivers/x.mp4\n", "names no outputs"),
        ("", "names no outputs"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=said):
            find_pairs(None, listed=table)
    other.write_text("[{")
    with pytest.raises(InputError, match="cannot be read"):
        find_pairs(None, listed=other)
    with pytest.raises(InputError, match="nothing to score"):
        find_pairs(None)


def test_files_and_folders_are_not_mixed_up(folders):
    out, _, drivers, _ = folders(out="1.mp4", drivers="x.mp4", empty="notes.txt")
    with pytest.raises(InputError, match="is a folder, but --output is one file"):
        find_pairs(out / "1.mp4", None, drivers)
    with pytest.raises(InputError, match="holds no clips or pictures"):
        find_pairs(out.parent / "empty")
    with pytest.raises(InputError, match="gone was not found"):
        find_pairs(out, None, out.parent / "gone")


# --- many pairs


class Fake:
    """Stands in for an evaluation: the score is the length of the pair's name."""

    same = False

    def score(self, pair):
        if pair.name == "stop":
            raise Cancelled("stop")
        if pair.name == "bad":
            raise InputError("No face.")
        weak = {"csim": absent("CSIM", "e", "no weights")}
        return Scored(
            pair.name,
            {"name": pair.name, "scores": {"psnr": measured(len(pair.name), "PSNR", "dB", HIGHER, "e")} | weak},
        )

    def set_scores(self):
        return {"fid": measured(7, "FID", "", HIGHER, "e")}


def test_means_are_of_the_pairs_that_have_a_score():
    run = Protocol([Pair(name, None, driver=1) for name in ("a", "bad", "abc")], Fake())
    run.run()
    result = run.result()
    psnr = result["scores"]["psnr"]
    assert (psnr["value"], psnr["pairs"]) == (2, 2) and psnr["deviation"] == pytest.approx(2**0.5, abs=1e-3)
    assert result["scores"]["fid"]["value"] == 7 and result["scores"]["csim"]["reason"] == "absent: no weights"
    assert [pair.get("reason") for pair in result["pairs"]] == [None, "No face.", None]
    assert summary([]) == {}


def test_what_is_scored_before_a_cancel_is_kept():
    run = Protocol([Pair(name, None) for name in ("a", "stop", "abc")], Fake())
    with pytest.raises(Cancelled):
        run.run()
    assert [pair["name"] for pair in run.result()["pairs"]] == ["a"]
    alone = Protocol([Pair("bad", None)], Fake())
    with pytest.raises(InputError, match="No face"):
        alone.run()


def test_a_report_escapes_names_and_refuses_a_file_as_folder(tmp_path):
    run = Protocol([Pair(name, None) for name in ("<b>bold", "bad")], Fake())
    run.run()
    run.scored[0].report |= {"frames": 1, "fps": 25.0, "face_seen": 1.0, "signals": None}
    page = write_report(tmp_path / "new", "<title>", run.result(), run.scored).read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in page and "<b>bold" not in page and "not scored: No face." in page
    assert json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8"))["protocol"] == "alone"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file", "title", run.result(), run.scored)


# --- the command


@needs_faces
def test_a_clip_is_scored_against_its_driver(evaluate, tmp_path):
    film = clip(tmp_path / "driver.mp4", nodding(24), audio=sound(talk((1, -20))))
    status, out, _ = evaluate("--output", film, "--driver", film, "--same", "--report", "report", "--clip", 8)
    result = json.loads(out.splitlines()[-1])
    scores = result["scores"]
    assert status == 0 and result["protocol"] == "same" and result["frames"] == 24
    assert scores["pose_distance"]["value"] < 0.1 and scores["pose_distance"]["unit"] == "°"
    assert scores["sharpness"]["value"] > 0.5 and "every 5" in scores["boundary_jump"]["estimator"]
    assert scores["motion"]["value"] > 0.99 and scores["gain"]["value"] == pytest.approx(1, abs=0.02)
    assert scores["psnr"]["value"] > 40 and scores["psnr_above_still"]["value"] > 5
    assert scores["fvd_like_bundled"]["value"] is None and "1 samples" in scores["fvd_like_bundled"]["reason"]
    for key, file in (("lpips", "alexnet"), ("csim", "CurricularFace"), ("fid", "inception"), ("fvd", "i3d")):
        assert scores[key]["value"] is None and file in scores[key]["reason"] and FOLDER in scores[key]["reason"]
    assert all(score.get("estimator") for score in scores.values() if score["value"] is not None)
    assert scores["lse_c"]["value"] is None and "syncnet" in scores["lse_c"]["reason"].lower()
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 13 and page.count("<polyline") == 20
    assert not re.search(r'(src|href)="(?!data:)', page), "the report is not self-contained"


@needs_faces
def test_a_folder_is_scored_and_a_bad_clip_passed_over(evaluate, tmp_path):
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


@needs_faces
def test_bad_wishes_are_refused_in_a_sentence(evaluate, tmp_path):
    film = clip(tmp_path / "a.mp4", [moved()] * 3)
    for arguments, said in (
        ([], "nothing to score"),
        (["--output", film, "--driver", film, "--frames", 0], "at least one frame"),
        (["--output", film, "--driver", film, "--overlap", 12], "cannot overlap"),
        (["--output", film, "--same"], "has no sound"),
        (["--output", film, "--driver", "gone.mp4"], "'gone.mp4' was not found"),
        (["--output", film, "--source", film], "not a readable image"),
    ):
        status, out, err = evaluate(*arguments)
        assert status == 2 and out == "" and said in err.splitlines()[-1]


# --- the node


@needs_faces
def test_the_node_gives_json_and_a_picture(tmp_path):
    film = clip(tmp_path / "a.mp4", nodding(14), fps=30)
    frames = torch.from_numpy(np.stack(nodding(14))).float() / 255
    with host.use(host.Host(models=[tmp_path], temp=tmp_path / "temp", device="cpu")):
        scores, table = Evaluate.execute(frames, False, frames[:1], VideoFromFile(str(film))).args
        alone = VideoFromFile(str(clip(tmp_path / "b.mp4", [noise()] * 3)))
        with pytest.raises(InputError, match="The source of 'output': No face was found"):
            Evaluate.execute(alone, True, None, alone)
    result = json.loads(scores)
    assert result["protocol"] == "cross" and result["compared"] == 14 and result["fps"] == 30.0
    assert result["scores"]["motion"]["value"] > 0.9 and result["scores"]["psnr"]["value"] is None
    assert table.shape[0] == 1 and table.shape[2:] == (1280, 3) and 0 <= table.min() < 0.5 < table.max() <= 1
