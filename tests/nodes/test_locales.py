"""The translations: English is what the schemas say, and Chinese has every text of it."""

import json
import re
import runpy
from pathlib import Path

import pytest

from mimaface.mimaface_core import host
from mimaface.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "tools" / "write_locales.py"))
english, texts, out_of_step = SCRIPT["english"], SCRIPT["texts"], SCRIPT["out_of_step"]
REFRESH = "run `python tools/write_locales.py`"


def read(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def folders(tmp_path):
    with host.use(host.Host(models=[tmp_path], inputs=tmp_path, outputs=tmp_path, temp=tmp_path)):
        yield


def test_english_is_what_the_schemas_say():
    assert read("en") == english(), REFRESH


def test_every_input_and_output_of_every_node_has_its_entry():
    entries = read("en")
    for node in NODES:
        schema = node.GET_SCHEMA()
        entry = entries[schema.node_id]
        assert [slot.id for slot in schema.inputs] == [n for n in entry["inputs"] if n != "control_after_generate"]
        assert list(entry["outputs"]) == [str(i) for i in range(len(schema.outputs))]
        assert all(entry["inputs"][slot.id]["tooltip"] == slot.tooltip for slot in schema.inputs)


def test_chinese_has_every_text_and_no_other():
    assert out_of_step(read("zh"), english(), read("en")) == [], REFRESH
    assert [*dict(texts(read("zh")))] == [*dict(texts(read("en")))], "in another order than the English"


def test_chinese_is_chinese():
    original = dict(texts(read("en")))
    for path, text in texts(read("zh")):
        assert text.strip() and re.search(r"[一-鿿]", text), path
        assert text != original[path], path


def test_what_is_no_language_stays_as_it_is():
    """Options, file names and numbers that a tooltip names are those of the English."""
    original = dict(texts(read("en")))
    for path, text in texts(read("zh")):
        for literal in re.findall(r"`[^`]+`|%\w+%|−?\d+(?:\.\d+)?", original[path]):
            assert literal.strip("`") in text, (path, literal)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_front_end_can_show_every_text(language):
    """Its message format gives these characters a meaning of their own."""
    for path, text in texts(read(language)):
        assert not set("{}@|") & set(text), path


@pytest.mark.parametrize("language", ["en", "zh"])
def test_other_nodes_are_called_by_the_name_they_have(language):
    entries = read(language)
    called = {re.split(r" ?[(（]MIMAFace", entry["display_name"])[0] for entry in entries.values()}
    assert len(called) == len(NODES)
    if language == "zh":
        named = {name for _, text in texts(entries) for name in re.findall("“([^”]+)”", text)}
        assert named - {"预览图像"} <= called, "ComfyUI's own Preview Image is the only other"


def test_a_translation_that_falls_behind_is_told_what_it_lacks():
    before = {"A": {"display_name": "one", "inputs": {"x": {"name": "x", "tooltip": "old"}}}}
    now = {"A": {"display_name": "one", "inputs": {"x": {"name": "x", "tooltip": "new"}, "y": {"name": "y"}}}}
    translated = {"A": {"display_name": "一", "inputs": {"x": {"name": "甲", "tooltip": "旧"}, "z": {"name": "丙"}}}}
    assert out_of_step(translated, now, before) == [
        "missing: A.inputs.y.name: y",
        "too much: A.inputs.z.name",
        "translate again: A.inputs.x.tooltip: new",
    ]
    assert out_of_step(now, now, now) == []
