"""Many pairs: means, refusals, cancellation, the report."""

import json

import pytest

from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.evaluation.batch import BatchEvaluation, summary
from mimaface.mimaface_core.evaluation.evaluate import PairResult
from mimaface.mimaface_core.evaluation.pairs import Pair
from mimaface.mimaface_core.evaluation.report import write_report
from mimaface.mimaface_core.evaluation.scores import HIGHER, absent, measured


class Fake:
    """Stands in for an evaluation: the score is the length of the pair's name."""

    same = False

    def score(self, pair):
        if pair.name == "stop":
            raise Cancelled("stop")
        if pair.name == "bad":
            raise InputError("No face.")
        weak = {"csim": absent("CSIM", "e", "no weights")}
        return PairResult(
            pair.name,
            {"name": pair.name, "scores": {"psnr": measured(len(pair.name), "PSNR", "dB", HIGHER, "e")} | weak},
        )

    def add(self, result):
        pass

    def set_scores(self):
        return {"fid": measured(7, "FID", "", HIGHER, "e")}


def test_means_are_over_the_pairs_that_have_a_score():
    run = BatchEvaluation([Pair(name, None, driver=1) for name in ("a", "bad", "abc")], Fake())
    run.run()
    result = run.result()
    psnr = result["scores"]["psnr"]
    assert (psnr["value"], psnr["pairs"]) == (2, 2) and psnr["deviation"] == pytest.approx(2**0.5, abs=1e-3)
    assert result["scores"]["fid"]["value"] == 7 and result["scores"]["csim"]["reason"] == "absent: no weights"
    assert [pair.get("reason") for pair in result["pairs"]] == [None, "No face.", None]
    assert summary([]) == {}


def test_scores_before_a_cancellation_are_kept():
    run = BatchEvaluation([Pair(name, None) for name in ("a", "stop", "abc")], Fake())
    with pytest.raises(Cancelled):
        run.run()
    assert [pair["name"] for pair in run.result()["pairs"]] == ["a"]
    alone = BatchEvaluation([Pair("bad", None)], Fake())
    with pytest.raises(InputError, match="No face"):
        alone.run()


def test_a_report_escapes_names_and_refuses_a_file_as_folder(tmp_path):
    run = BatchEvaluation([Pair(name, None) for name in ("<b>bold", "bad")], Fake())
    run.run()
    run.scored[0].report |= {"frames": 1, "fps": 25.0, "face_seen": 1.0, "signals": None}
    page = write_report(tmp_path / "new", "<title>", run.result(), run.scored).read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in page and "<b>bold" not in page and "not scored: No face." in page
    assert json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8"))["protocol"] == "alone"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file", "title", run.result(), run.scored)
