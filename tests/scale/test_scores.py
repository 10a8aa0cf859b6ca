"""`mimaface evaluate` by workers: the same scores as without them, kept, measured anew where something changed."""

import json

import numpy as np
import pytest
import torch
from support.films import noise as static
from support.films import write
from support.scenes import clip, needs_faces, nodding

from mimaface.mimaface_core.evaluation.evaluate import PairResult, Still
from mimaface.mimaface_core.evaluation.kept import load_result, save_result
from mimaface.mimaface_core.evaluation.meters.frechet import Gaussian, frechet_distance
from mimaface.scale.scores import ScoreKeys, ScoreSettings, score_task


def filled(*parts):
    gaussian = Gaussian()
    for part in parts:
        gaussian.add(torch.from_numpy(part))
    return gaussian


def test_a_kept_result_is_the_same_and_another_key_is_none(tmp_path):
    rng = np.random.default_rng(0)
    few, many = filled(rng.normal(size=(3, 8))), filled(rng.normal(size=(20, 8)), rng.normal(size=(5, 8)))
    picture = rng.integers(0, 255, (4, 5, 3), np.uint8)
    result = PairResult("a", {"scores": {}}, picture, [Still(0.5, None, picture)], statistics={"fid": (few, many)})
    save_result(tmp_path / "a.npz", result, "key")
    again = load_result(tmp_path / "a.npz", "key")
    assert again.report == result.report and again.stills[0].driver is None and len(again.curves.seconds) == 0
    assert np.array_equal(again.source, picture) and np.array_equal(again.stills[0].output, picture)
    kept_few, kept_many = again.statistics["fid"]
    assert frechet_distance(kept_few, kept_many) == pytest.approx(frechet_distance(few, many), rel=1e-12)
    assert load_result(tmp_path / "a.npz", "other") is None and load_result(tmp_path / "b.npz", "key") is None
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:900])
    assert load_result(tmp_path / "a.npz", "key") is None


def test_statistics_of_parts_add_up():
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(count, 6)) for count in (2, 3, 9, 1)]
    whole, merged = filled(np.concatenate(parts)), Gaussian()
    for part in parts:
        merged.merge(Gaussian(filled(part).arrays()))
    assert merged.count == whole.count == 15
    np.testing.assert_allclose(merged.mean, np.concatenate(parts).mean(0))
    np.testing.assert_allclose(merged.covariance, np.cov(np.concatenate(parts).T))


@needs_faces
def test_workers_give_the_scores_of_one_process_and_keep_them(evaluate, tmp_path):
    clip(tmp_path / "nod.mp4", nodding(5))
    write(tmp_path / "none.mp4", static(3, 64, 64))
    (tmp_path / "pairs.csv").write_text("output,driver\nnod.mp4,nod.mp4\nnone.mp4,nod.mp4\n")
    alone = json.loads(evaluate("--pairs", "pairs.csv")[1].splitlines()[-1])
    status, out, err = evaluate("--pairs", "pairs.csv", "--workers", 1, "--keep", "scores", "--report", "report")
    result = json.loads(out.splitlines()[-1])
    assert status == 0 and result == alone, err
    assert "No face was found" in result["pairs"][1]["reason"] and (tmp_path / "report/report.html").is_file()
    (kept,) = (tmp_path / "scores").glob("*.npz")
    before = kept.stat().st_mtime_ns
    (tmp_path / "pairs.csv").write_text("output,driver\nnod.mp4,nod.mp4\n")
    status, out, _ = evaluate("--pairs", "pairs.csv", "--keep", "scores")
    assert status == 0 and kept.stat().st_mtime_ns == before
    assert json.loads(out.splitlines()[-1])["scores"]["pose_distance"] == result["pairs"][0]["scores"]["pose_distance"]


def test_a_machine_with_other_files_scores_nothing(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"one")
    key = ScoreKeys(ScoreSettings()).of({"output": str(tmp_path / "a.mp4")})
    assert key != ScoreKeys(ScoreSettings(max_frames=3)).of({"output": str(tmp_path / "a.mp4")})
    (tmp_path / "a.mp4").write_bytes(b"two and more")
    with pytest.raises(OSError, match="This machine has other files, weights or another version"):
        score_task({"output": str(tmp_path / "a.mp4")}, {}, str(tmp_path / "a.npz"), key)


def test_what_cannot_be_used_is_refused(evaluate, tmp_path):
    assert evaluate("--output", "gone.mp4", "--keep", "scores")[0] == 2
    status, _, err = evaluate("--output", "gone.mp4", "--workers", 0)
    assert status == 2 and "--workers 0 is out of range; use at least 1." in err
