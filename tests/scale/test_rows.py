"""Lists of pairs: what can be read, and every way in which they can be wrong."""

import json

import pytest

from mimaface.mimaface_core.errors import InputError
from mimaface.scale.rows import cross_rows, read_rows


def csv(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_list_is_read_as_spreadsheets_write_it(tmp_path, encoding, mark):
    text = mark.join(["source", "driver", "set.sampler.steps"]) + "\r\n" + mark.join(["ä.png", " b.mp4", "8"]) + "\r\n"
    (row,) = read_rows(csv(tmp_path, text, encoding))
    assert row.values == {"source": "ä.png", "driver": "b.mp4", "set.sampler.steps": "8"}
    assert (row.where, row.fault) == ("line 2", None)


def test_empty_lines_and_fields_are_left_out_and_lines_keep_their_numbers(tmp_path):
    rows = read_rows(csv(tmp_path, 'source,driver\n\n,,\na.png,\n,\n"b,c.png",d.mp4\n'))
    assert [(row.where, row.values) for row in rows if not row.fault] == [
        ("line 4", {"source": "a.png"}),
        ("line 6", {"source": "b,c.png", "driver": "d.mp4"}),
    ]
    assert [row.where for row in rows if row.fault] == ["line 3"]


def test_a_jsonl_list_has_the_same_keys_and_numbers(tmp_path):
    path = tmp_path / "pairs.jsonl"
    entries = [{"source": "a.png", "set.sampler.steps": 8, "set.full.watermark": False, "driver": None}]
    path.write_text("\n".join(map(json.dumps, entries)) + '\n\n{"source": 3}\n[1]\n{"sauce": "a"}\n{"source\n')
    rows = read_rows(path)
    assert rows[0].values == {"source": "a.png", "set.sampler.steps": "8", "set.full.watermark": "False"}
    assert [(row.where, row.fault) for row in rows[1:]] == [
        ("line 3", "source is 3; write it as text in quotation marks."),
        ("line 4", "it is no JSON object; write one object a line."),
        ("line 5", "there is no column 'sauce'; did you mean 'source'?"),
        ("line 6", "it is no JSON (Unterminated string starting at, column 2); write one object a line."),
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("driver,output\na,b\n", "has no column source"),
        ("source,drivr\na,b\n", "there is no column 'drivr'; did you mean 'driver'?"),
        ("source,set.steps\na,b\n", "there is no column 'set.steps'"),
        ("source,source\na,b\n", "has the column source twice"),
        ("source,driver\n", "has no pairs"),
        ("", "has no column source"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as refused:
        read_rows(csv(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_list_in_another_encoding_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not in UTF-8: byte 14 .* save it as UTF-8"):
        read_rows(csv(tmp_path, "source,driver\nä.png,b.mp4\n", "latin-1"))
    with pytest.raises(InputError, match=r"neither \.csv nor \.jsonl"):
        read_rows(tmp_path / "pairs.xlsx")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "gone.csv")


def test_two_folders_make_a_row_for_each_pair(files):
    for folder, names in (("people", ("a.png", "b.png")), ("clips", ("clip.mp4", "a.png"))):
        (files / folder).mkdir()
        for name in names:
            (files / folder / name).write_bytes((files / name).read_bytes())
    (files / "people" / "notes.txt").touch()
    rows = cross_rows(files / "people", files / "clips")
    assert [row.where for row in rows] == ["a.png x a.png", "a.png x clip.mp4", "b.png x a.png", "b.png x clip.mp4"]
    with pytest.raises(InputError, match="--drivers .* holds no clips or photographs; name the folder that does"):
        (files / "empty").mkdir()
        cross_rows(files / "people", files / "empty")
    with pytest.raises(InputError, match="--sources .* cannot be read"):
        cross_rows(files / "gone", files / "clips")
