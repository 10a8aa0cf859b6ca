"""`mimaface compare`: intervals, verdicts, and files that cannot be compared."""

import json

import numpy as np
import pytest

from mimaface.cli import main as cli


def write(path, **columns):
    """An evaluation with a value for each pair, of scores that are better lower, higher and at 1."""
    better = {"aed": "lower is better", "psnr": "higher is better", "ratio": "best at 1"}
    scores = {key: {"title": key.upper(), "value": 0.0, "unit": "", "better": better[key]} for key in columns}
    count = len(next(iter(columns.values())))
    pairs = [
        {"name": f"p{i}", "scores": {key: {"value": values[i]} for key, values in columns.items()}}
        for i in range(count)
    ]
    path.write_text(json.dumps({"scores": scores, "pairs": [*pairs, {"name": "bad", "reason": "No face."}]}))
    return str(path)


def test_runs_are_compared_pair_by_pair(tmp_path, capsys):
    noise = np.random.default_rng(0).normal(0, 1, 30)
    small = np.random.default_rng(1).normal(0, 0.05, 30)
    base = write(tmp_path / "old.json", aed=list(5 + noise), psnr=list(20 + noise), ratio=list(1.5 + small))
    new = write(
        tmp_path / "new.json",
        aed=list(4.8 + noise + small),
        psnr=list(20 + noise + small),
        ratio=[0.9 + 0 * s for s in small],
    )
    assert cli.main(["compare", base, new, "--report", str(tmp_path / "table.md")]) == 0
    printed = capsys.readouterr()
    rows = {row["score"]: row for row in json.loads(printed.out)["scores"]}
    assert all(row["pairs"] == 30 for row in rows.values())
    # pairs vary by far more than the difference, which is clear all the same
    assert rows["aed"]["runs"][1]["verdict"] == "better" and rows["aed"]["runs"][0]["interval"] > 0.2
    assert rows["aed"]["runs"][1]["difference"] == pytest.approx(-0.2, abs=0.03)
    assert rows["psnr"]["runs"][1]["verdict"] == "open" and rows["ratio"]["runs"][1]["verdict"] == "better"
    assert (tmp_path / "table.md").read_text().strip() == printed.err.strip()
    assert "| AED, lower is better | 30 |" in printed.err


def test_the_interval_holds_the_truth_as_often_as_it_says():
    from mimaface.mimaface_core.evaluation.comparison import compare_runs

    chance, held = np.random.default_rng(2), 0
    for _ in range(400):
        run = [
            {
                "scores": {"a": {"title": "A", "better": "lower is better"}},
                "pairs": [
                    {"name": str(i), "scores": {"a": {"value": float(chance.normal(shift, 1))}}} for i in range(8)
                ],
            }
            for shift in (0.0, 0.5)
        ]
        second = compare_runs({"x": run[0], "y": run[1]})[0]["runs"][1]
        held += abs(second["difference"] - 0.5) <= second["difference_interval"]
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    "content, words",
    [
        ("[1]", "is no evaluation of several pairs"),
        ("{", "cannot be read"),
        ('{"scores": {}, "pairs": []}', "share no two pairs"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, capsys, content, words):
    (tmp_path / "other.json").write_text(content)
    base = write(tmp_path / "base.json", aed=[1.0, 2.0])
    status = cli.main(["compare", str(tmp_path / "other.json"), base])
    assert status == 2 and words in capsys.readouterr().err
    assert cli.main(["compare", base]) == 2
