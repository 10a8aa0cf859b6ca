"""The help pages, English and Chinese: one a node, with the inputs, outputs and values of its schema and no others."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import mimaface
from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.motion.keyframes import EASINGS, LOOPS
from mimaface.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
SCHEMAS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in NODES}
# what pages name in code besides inputs, outputs and values
OTHER = {
    "models/mimaface/",
    "models/loras/",
    "models/vae_approx/",
    "mimaface pack convert",
    "mimaface live",
    ".safetensors",
    ".csv",
    "JawOpen",
    "EyeBlinkLeft",
    "%date:yyyy-MM-dd%",
    "%Load Image.image%",
    '{"version": 1, "controls": {"mouth_smile_left": 0.5}, "neutral_first": false}',
    '{"version": 1, "fps": 25, "length": 4, "loop": "none", "curves": {"yaw": [[0, 0, "smooth"], [2, 15]]}}',
    *("neutral_first", "loop", "left"),
    *EASINGS,
    *LOOPS,
    *CONTROLS,
}
LARGEST, IN_ALL = 40_000, 500_000  # bytes of a picture, and of all


class Language(NamedTuple):
    """What the pages of a language have in common; `entries` are its nodeDefs.json."""

    sections: list[str]
    optional: str
    switch: tuple[str, str]
    suffix: str
    entries: dict

    def title(self, name):
        return self.entries[name]["display_name"].removesuffix(self.suffix)

    def shown(self, name):
        """The names under which the front end shows a node's inputs and outputs."""
        entry, schema = self.entries[name], SCHEMAS[name]
        inputs = [entry["inputs"][slot.id.replace(".", "_")]["name"] for slot in schema.inputs]
        return inputs, [entry["outputs"][str(i)]["name"] for i in range(len(schema.outputs))]

    def path(self, name):
        """Where the front end looks first; only English lies beside the folders."""
        return PAGES / name / "zh.md" if self is CHINESE else PAGES / f"{name}.md"

    def page(self, name):
        return self.path(name).read_text(encoding="utf-8")


def entries(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


ENGLISH = Language(
    ["Inputs", "Outputs", "Tips and limits", "Connects to"], "(optional)", ("off", "on"), " (MIMAFace)", entries("en")
)
CHINESE = Language(["输入", "输出", "提示与限制", "连接"], "（可选）", ("关", "开"), "（MIMAFace）", entries("zh"))
every_node = pytest.mark.parametrize("name", SCHEMAS)
every_language = pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])


def named(name, language):
    """All that a page may name of a node: inputs, outputs and the values to choose from."""
    inputs, outputs = language.shown(name)
    options = {str(v) for slot in SCHEMAS[name].inputs for v in getattr(slot, "options", None) or ()}
    return {*inputs, *outputs} | options


def rows(text):
    """The tables' rows, cell by cell, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def sections(text):
    """{heading: text below it}; what comes before the first heading is under ''."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def written(default, language):
    """A default as a page writes it."""
    if isinstance(default, bool):
        return language.switch[default]
    return "–" if default is None else f"{default:g}" if isinstance(default, (int, float)) else default


def faults(name, text, language=ENGLISH):
    """What a page says that is not so, or leaves out."""
    if name not in SCHEMAS:
        return [f"there is no node {name}"]
    schema, parts, found = SCHEMAS[name], sections(text), []
    titles = {language.title(node): node for node in SCHEMAS}
    if not text.startswith(f"# {language.title(name)}\n"):
        found.append("another title")
    if list(parts)[1:] != language.sections:
        return [*found, f"other headings: {list(parts)[1:]}"]
    for heading, shown, width in zip(language.sections, language.shown(name), (4, 2), strict=False):
        table = rows(parts[heading])
        if [row[0] for row in table] != [f"`{own}`" for own in shown]:
            found.append(f"other {heading}: {[row[0] for row in table]}")
        if any(len(row) != width for row in table):
            found.append(f"a row of {heading} with other than {width} cells")
    for row, slot in zip(rows(parts[language.sections[0]]), schema.inputs, strict=False):
        default = getattr(slot, "default", None)
        if row[1] != written(default, language):
            found.append(f"{row[0]} is {default}, not {row[1]}")
        if (language.optional in row[2]) != slot.optional:
            found.append(f"{row[0]}: optional or not?")
    others = re.findall(r"\*\*(.+?)\*\*", text)
    found += [f"there is no node {other}" for other in others if other not in titles]
    known = OTHER.union(named(name, language), *(named(titles[other], language) for other in others if other in titles))
    known |= {"bundled", "bundled-implicit"}  # packs, whichever are listed where the tests run
    found += [f"there is no {code}" for code in re.findall(r"`(.+?)`", text) if code not in known]
    return found


def pictures(text):
    return re.findall(r"!\[(.*?)\]\((.+?)\)", text)


def test_every_node_has_its_pages_and_no_page_is_without_a_node():
    assert {path.stem for path in PAGES.glob("*.md")} == set(SCHEMAS)
    assert {path.parent.name for path in PAGES.glob("*/zh.md")} == set(SCHEMAS)
    assert {path.name for path in PAGES.iterdir() if path.is_dir()} == set(SCHEMAS)


@every_language
@every_node
def test_a_page_tells_the_truth(name, language):
    assert faults(name, language.page(name), language) == []


@every_node
def test_pages_of_both_languages_show_the_same(name):
    english, chinese = ENGLISH.page(name), CHINESE.page(name)
    assert [path for _, path in pictures(english)] == [path for _, path in pictures(chinese)]
    tips = [
        sections(page)[language.sections[2]].count("\n- ")
        for page, language in ((english, ENGLISH), (chinese, CHINESE))
    ]
    assert tips[0] == tips[1]


def test_wrong_pages_are_noticed():
    good = ENGLISH.page("MIMAFacePasteBack")
    assert faults("MIMAFaceUnheardOf", good)
    wrong = {
        "an input too few": re.sub(r"^\| `longest_side`.*\n", "", good, flags=re.MULTILINE),
        "an input too many": good.replace("| `frames`", "| `colour` | – | Colour. | |\n| `frames`"),
        "an output by another name": good.replace("`mask`", "`masks`"),
        "another default": good.replace("1920", "1080"),
        "another node": good.replace("**Combine Video**", "**Combine Videos**"),
        "another value": good + "\nSee `soft_edges`.\n",
        "another title": good.replace("# Paste Back", "# Paste", 1),
        "a heading less": good.replace("## Connects to\n", ""),
    }
    for what, text in wrong.items():
        assert text != good and faults("MIMAFacePasteBack", text), what


@every_node
def test_every_page_has_pictures_where_the_front_end_looks_for_them(name):
    # it puts /extensions/<folder>/docs/ before a relative path
    shown = pictures(ENGLISH.page(name)) + pictures(CHINESE.page(name))
    assert len(shown) >= 2
    for alternative, path in shown:
        assert alternative and path.startswith(f"{name}/") and (PAGES / path).is_file(), path


def test_no_picture_is_left_over_or_large_and_thumbnails_are_those_of_the_workflows():
    kept = [path for path in PAGES.glob("*/*") if path.suffix != ".md"]
    for picture in kept:
        assert f"]({picture.parent.name}/{picture.name})" in ENGLISH.page(picture.parent.name), picture
        thumbnail = ROOT / "workflows" / picture.name
        assert not thumbnail.exists() or thumbnail.read_bytes() == picture.read_bytes(), picture
    sizes = {picture: picture.stat().st_size for picture in kept}
    assert sum(sizes.values()) <= IN_ALL and not [picture for picture, size in sizes.items() if size > LARGEST]


def test_comfyui_serves_the_pages():
    assert (ROOT / mimaface.WEB_DIRECTORY / "docs").samefile(PAGES)
    # with either of these ComfyUI would not ask for the entry point
    assert not hasattr(mimaface, "NODE_CLASS_MAPPINGS") and callable(mimaface.comfy_entrypoint)


def test_an_installed_package_has_the_pages():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.findall(r'"([^"]+)"', re.search(r"^mimaface = (\[.*\])$", project, re.MULTILINE)[1])
    carried = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert {path for path in (ROOT / "web").rglob("*") if path.is_file()} <= carried
