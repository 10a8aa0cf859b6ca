"""Pairs found by file names and by lists."""

import json

import pytest

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.pairs import find_pairs


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


def test_cross_identity_outputs_are_named_by_source_and_driver(folders):
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


def test_self_reenactments_and_single_sources_are_named_by_their_drivers(folders):
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


def test_a_list_names_the_files_of_each_pair(folders, tmp_path):
    folders(out="1.mp4 2.mp4", sources="a.jpg", drivers="x.mp4")
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffoutput,source,driver\nout/1.mp4,sources/a.jpg,drivers/x.mp4\nout/2.mp4,,drivers/x.mp4\n")
    expected = [["1.mp4", "a.jpg", "x.mp4", None], ["2.mp4", None, "x.mp4", None]]
    assert names(find_pairs(None, listed=table)) == expected
    other = tmp_path / "pairs.json"
    other.write_text(json.dumps([{"output": "out/1.mp4", "driver": "drivers/x.mp4"}]))
    assert names(find_pairs(None, listed=other)) == [["1.mp4", None, "x.mp4", None]]
    for text, message in (
        ("output,driven\nout/1.mp4,drivers/x.mp4\n", "unknown column driven"),
        (f"output,{'x' * 5000}\nout/1.mp4,drivers/x.mp4\n", "unknown column x+…x+;"),
        ("output,driver\nout/1.mp4,drivers/z.mp4\n", "z.mp4 was not found"),
        ("clip,driver\nout/1.mp4,drivers/x.mp4\n", "names no outputs"),
        ("", "names no outputs"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=message):
            find_pairs(None, listed=table)
    other.write_text("[{")
    with pytest.raises(InputError, match="cannot be read"):
        find_pairs(None, listed=other)
    with pytest.raises(InputError, match="nothing to score"):
        find_pairs(None)


def test_a_folder_beside_a_single_output_is_refused(folders):
    out, _, drivers, _ = folders(out="1.mp4", drivers="x.mp4", empty="notes.txt")
    with pytest.raises(InputError, match="is a folder, but --output is one file"):
        find_pairs(out / "1.mp4", None, drivers)
    with pytest.raises(InputError, match="holds no videos or images"):
        find_pairs(out.parent / "empty")
    with pytest.raises(InputError, match="gone was not found"):
        find_pairs(out, None, out.parent / "gone")


@pytest.mark.parametrize("value", [1, True, ["a.mp4"], {"a": 1}])
def test_a_value_of_a_list_that_is_no_path_is_named_by_row_and_column(folders, tmp_path, value):
    folders(out="1.mp4")
    listed = tmp_path / "pairs.json"
    listed.write_text(json.dumps([{"output": "out/1.mp4"}, {"output": "out/1.mp4", "driver": value}]))
    with pytest.raises(InputError, match="row 2, column driver is .* which is no path"):
        find_pairs(None, listed=listed)
    listed.write_text(json.dumps([{"output": value}]))
    with pytest.raises(InputError, match="row 1, column output"):
        find_pairs(None, listed=listed)


def test_lists_are_read_as_editors_save_them(folders, tmp_path):
    folders(out="1.mp4")
    table, other = tmp_path / "pairs.csv", tmp_path / "pairs.json"
    table.write_bytes("output\nout/1.mp4\n".encode("utf-16"))
    other.write_bytes(b"\xef\xbb\xbf" + json.dumps([{"output": "out/1.mp4"}]).encode())
    assert names(find_pairs(None, listed=table)) == names(find_pairs(None, listed=other))
    other.write_text("[" * 5000 + "]" * 5000)
    with pytest.raises(InputError, match="nested too deeply"):
        find_pairs(None, listed=other)
    with pytest.raises(InputError, match="cannot be read"):
        find_pairs(None, listed=tmp_path / ("a" * 300))
    with pytest.raises(InputError, match="was not found"):
        find_pairs(tmp_path / "out", tmp_path / ("a" * 300))
