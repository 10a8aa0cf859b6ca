"""The help pages: one for every node, naming its inputs, outputs and values as they are, and nothing else."""

import re
from pathlib import Path

import pytest

import mimaface
from mimaface.nodes import NODES

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
SCHEMAS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in NODES}
TITLES = {schema.display_name.removesuffix(" (MIMAFace)"): schema for schema in SCHEMAS.values()}
SECTIONS = ["Inputs", "Outputs", "Tips and limits", "Connects to"]
# what pages name in code besides inputs, outputs and values
OTHER = {"models/mimaface/", "mimaface pack convert", ".safetensors", "%year%"}
every_node = pytest.mark.parametrize("name", SCHEMAS)


def shown(slot):
    """The name under which the front end shows an input or output."""
    return slot.display_name or slot.id


def names(schema):
    """All that a page may name of a node: inputs, outputs and the values to choose from."""
    slots = [*schema.inputs, *schema.outputs]
    return {shown(slot) for slot in slots} | {str(v) for slot in schema.inputs for v in getattr(slot, "options", None) or ()}


def rows(text):
    """The tables' rows, cell by cell, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def sections(text):
    """{heading: text below it}; what comes before the first heading is under ''."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def written(default):
    """A default as a page writes it."""
    if default is None or isinstance(default, bool):
        return {None: "–", False: "off", True: "on"}[default]
    return f"{default:g}" if isinstance(default, (int, float)) else default


def faults(name, text):
    """What a page says that is not so, or leaves out."""
    if name not in SCHEMAS:
        return [f"there is no node {name}"]
    schema, parts, found = SCHEMAS[name], sections(text), []
    if not text.startswith(f"# {schema.display_name.removesuffix(' (MIMAFace)')}\n"):
        found.append("another title")
    if list(parts)[1:] != SECTIONS:
        return [*found, f"other headings: {list(parts)[1:]}"]
    for heading, slots, width in (("Inputs", schema.inputs, 4), ("Outputs", schema.outputs, 2)):
        table = rows(parts[heading])
        if [row[0] for row in table] != [f"`{shown(slot)}`" for slot in slots]:
            found.append(f"other {heading.lower()}: {[row[0] for row in table]}")
        if any(len(row) != width for row in table):
            found.append(f"a row of {heading.lower()} with other than {width} cells")
    for row, slot in zip(rows(parts["Inputs"]), schema.inputs, strict=False):
        default = written(getattr(slot, "default", None))
        if row[1] != default:
            found.append(f"{row[0]} is {default}, not {row[1]}")
        if ("(optional)" in row[2]) != slot.optional:
            found.append(f"{row[0]}: optional or not?")
    others = re.findall(r"\*\*(.+?)\*\*", text)
    found += [f"there is no node {other}" for other in others if other not in TITLES]
    known = OTHER.union(names(schema), *(names(TITLES[other]) for other in others if other in TITLES))
    known |= {"bundled"}  # a pack, whichever packs are listed where the tests run
    found += [f"there is no {code}" for code in re.findall(r"`(.+?)`", text) if code not in known]
    return found


def page(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def test_every_node_has_its_page_and_no_page_is_without_a_node():
    assert {path.stem for path in PAGES.glob("*.md")} == set(SCHEMAS)
    assert {path.name for path in PAGES.iterdir() if path.is_dir()} <= set(SCHEMAS)


@every_node
def test_a_page_tells_the_truth(name):
    assert faults(name, page(name)) == []


def test_wrong_pages_are_noticed():
    good = page("MIMAFacePasteBack")
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
def test_pictures_lie_where_the_front_end_looks_for_them(name):
    # it puts /extensions/<folder>/docs/ before a relative path
    for alternative, path in re.findall(r"!\[(.*?)\]\((.+?)\)", page(name)):
        assert alternative and path.startswith(f"{name}/") and (PAGES / path).is_file(), path


def test_no_picture_is_left_over_and_thumbnails_are_those_of_the_workflows():
    for picture in (path for path in PAGES.glob("*/*") if path.suffix != ".md"):
        assert f"]({picture.parent.name}/{picture.name})" in page(picture.parent.name), picture
        thumbnail = ROOT / "workflows" / picture.name
        assert not thumbnail.exists() or thumbnail.read_bytes() == picture.read_bytes(), picture


def test_comfyui_serves_the_pages():
    assert (ROOT / mimaface.WEB_DIRECTORY / "docs").samefile(PAGES)
    # with either of these ComfyUI would not ask for the entry point
    assert not hasattr(mimaface, "NODE_CLASS_MAPPINGS") and callable(mimaface.comfy_entrypoint)


def test_an_installed_package_has_the_pages():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.findall(r'"([^"]+)"', re.search(r"^mimaface = (\[.*\])$", project, re.MULTILINE)[1])
    carried = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert {path for path in (ROOT / "web").rglob("*") if path.is_file()} <= carried
