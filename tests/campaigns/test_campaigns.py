"""A short, seeded part of the campaign of bad inputs."""

import tempfile

import pytest

from campaigns import fuzz, goods, mutate, targets

QUICK = (
    "image",
    "audio",
    "motion",
    "curves",
    "editor",
    "graphs",
    "workflows",
    "pack",
    "pairs",
    "batch",
    "training",
    "words",
)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """`given(target, number)` is what was wrong with how a case ended; nothing where it ended well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    return lambda name, number: fuzz.one(name, number, 0, tmp_path)


@pytest.mark.parametrize("name", QUICK)
def test_bad_inputs_end_in_a_result_or_one_sentence(given, name):
    assert [fault for number in range(4) if (fault := given(name, number))] == []


def test_a_campaign_tells_what_ends_badly(given, monkeypatch):
    def leaves(dice, folder):
        (folder.parent / "stray").touch()

    def breaks(dice, folder):
        (folder.parent / "out").mkdir()
        (folder.parent / "out" / "a.png").write_bytes(goods.images()["a.png"][:60])

    def raises(dice, folder):
        targets.run("run", mutate.ODD[0].nothing)

    for give, said in ((leaves, "files left"), (breaks, "is broken"), (raises, "AttributeError")):
        monkeypatch.setitem(targets.TARGETS, "wrong", targets.Target(give, 1))
        assert said in given("wrong", 0)
