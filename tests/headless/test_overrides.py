"""`--input` and `--set`: nodes found by title or id, every mistake reported."""

from support.toys import CLASSES, make, node

from mimaface.headless.node_classes import object_info
from mimaface.headless.overrides import apply_overrides


def test_overrides_find_nodes_by_title_or_id_and_report_every_mistake(load, tmp_path):
    graph = load(a=make(), b=node("LoadImage", "source"), c=make("twin"), d=make("twin"))
    infos = object_info(CLASSES)
    assert apply_overrides(graph, infos, [f"source={tmp_path}/x.png"], ["maker.steps=9", "c.mode=absolute"]) == []
    assert graph["b"].inputs["image"] == f"{tmp_path}/x.png"
    assert (graph["a"].inputs["steps"], graph["c"].inputs["mode"]) == ("9", "absolute")
    wrong = apply_overrides(
        graph, infos, ["sorce=x.png", "maker=x.png", "source"], ["twin.steps=1", "maker=1", "makr.steps=1"]
    )
    assert [str(problem).split(": ", 1)[1] for problem in wrong] == [
        "no node is titled 'sorce'; did you mean 'source'?",
        "node 'maker' (ToyMake, id a) takes no file; use --set for its values. File inputs: 'source'.",
        "write it TITLE=PATH.",
        "several nodes are titled 'twin'; name one by its id: c, d.",
        "write it TITLE.INPUT=VALUE.",
        "no node is titled 'makr'; did you mean 'maker'?",
    ]
