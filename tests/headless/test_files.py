"""Input files found, output paths numbered, unwritable folders refused."""

import json

import pytest

from mimaface.headless.files import find_input, free_path, require_writable
from mimaface.headless.job import run_here
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import Frames, read_audio, read_image
from mimaface.mimaface_core.media.output_path import next_output_path


def test_numbers_continue_from_existing_files_and_paths_stay_in_the_folder(tmp_path):
    assert next_output_path(tmp_path, "a/b_%width%", 64).file(".mp4") == tmp_path / "a/b_64_00001_.mp4"
    (tmp_path / "a/b_64_00007_.mp4").touch()
    place = next_output_path(tmp_path, "a/b_64")
    assert (place.file(".png", 1).name, place.subfolder) == ("b_64_00009_.png", "a")
    for outside in ("../x", "/x", ""):
        with pytest.raises(InputError, match="leaves the output folder"):
            next_output_path(tmp_path / "a", outside)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        next_output_path(tmp_path, "file/x")
    assert free_path(tmp_path / "file") == tmp_path / "file-1"


def test_files_are_found_in_folders_and_unwritable_folders_refused(tmp_path):
    (tmp_path / "face.png").touch()
    assert find_input("face.png [input]", [tmp_path]) == tmp_path / "face.png"
    assert find_input("", [tmp_path]) is None
    require_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="choose another"):
        require_writable(tmp_path / "face.png" / "inside")


@pytest.mark.parametrize("name", ["a" * 260, "a" * 5000, "b/" * 3000, "~nobody-of-that-name/a.png", "a\0.png"])
def test_a_name_that_no_file_can_have_is_not_found(tmp_path, name):
    assert find_input(name, [tmp_path]) is None
    for read in (read_image, Frames.open, Frames.of_video, read_audio):
        with pytest.raises(InputError, match="was not found") as error:
            read(tmp_path / name)
        assert len(str(error.value)) < 600


def test_an_output_folder_with_too_long_a_name_is_refused_with_its_name_cut_short(tmp_path):
    for folder in ("a" * 260, "b/" * 3000):
        with pytest.raises(InputError, match="choose another") as error:
            require_writable(tmp_path / folder)
        assert len(str(error.value)) < 300


def test_a_graph_that_names_such_a_file_is_refused_before_it_runs(tmp_path):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a" * 260}, "_meta": {"title": "source"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    }
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    for files in ([], [f"source={'b' * 260}.png"]):
        with pytest.raises(InputError, match="there is no file") as error:
            run_here(str(tmp_path / "graph.json"), files, [], tmp_path)
        assert len(str(error.value)) < 400
