"""File name prefixes: parts that ComfyUI's page fills in, and names that are too long."""

import re
import time

import pytest

from mimaface.headless.node_classes import node_classes, object_info
from mimaface.headless.prefixes import fill_prefixes
from mimaface.headless.validate import validate
from mimaface.mimaface_core import host
from mimaface.mimaface_core.media.output_path import next_output_path


def test_values_of_other_nodes_are_filled_in(load):
    graph = load(
        a={"class_type": "LoadImage", "inputs": {"image": "in/a.png"}, "_meta": {"title": "source"}},
        b={
            "class_type": "SaveImage",
            "inputs": {
                "images": ["a", 0],
                "filename_prefix": "%source.image%_%LoadImage.image%_%x.y%_%SaveImage.images%",
            },
        },
    )
    fill_prefixes(graph)
    assert graph["b"].inputs["filename_prefix"] == "in_a.png_in_a.png_%x.y%_%SaveImage.images%"


def test_dates_are_written_as_asked(tmp_path):
    place = next_output_path(tmp_path, "%date:yyyy-MM-dd%/%date:yy.M.d hhmmss%_%date:yyy%")
    assert place.subfolder in {time.strftime("%Y-%m-%d"), time.strftime("%Y-%m-%d", time.localtime(time.time() - 5))}
    assert re.fullmatch(rf"{time.strftime('%y')}\.\d+\.\d+ \d{{6}}_yyy", place.name)


@pytest.mark.parametrize(
    ("prefix", "fits"),
    [
        ("a" * 244, True),
        ("a" * 245, False),
        ("ä" * 122, True),
        ("ä" * 123, False),
        ("a" * 256 + "/b", False),
        ("a/" * 2100 + "b", False),
        ("a" * 235 + "%width%", False),
        ("\ud800", True),
    ],
)
def test_a_name_that_is_too_long_is_refused_before_anything_runs(load, tmp_path, prefix, fits):
    graph = load(
        a={"class_type": "LoadVideo", "inputs": {"file": "a.mp4"}},
        b={"class_type": "GetVideoComponents", "inputs": {"video": ["a", 0]}},
        c={"class_type": "SaveImage", "inputs": {"images": ["b", 0], "filename_prefix": "x"}},
    )
    graph["c"].inputs["filename_prefix"] = prefix if "width" not in prefix else prefix.replace("a" * 235, "a" * 240)
    classes = node_classes()
    (tmp_path / "a.mp4").touch()
    with host.use(host.Host(outputs=tmp_path / "out")):
        problems = validate(graph, object_info(classes), folders=[tmp_path], classes=classes)
        assert [("too long" in problem.text) for problem in problems] == ([] if fits else [True])
        if fits:
            next_output_path(tmp_path / "out", prefix).file(".png").touch()
