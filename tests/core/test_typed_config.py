"""JSON objects as dataclasses: nested, with defaults; every fault named by its dotted key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.typed_config import read_config


@dataclass(frozen=True)
class Network:
    width: int
    kind: str | None = field(default=None, metadata={"key": "class"})
    dilations: tuple[int, ...] = (1,)
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    network: Network
    rate: float = 0.1
    order: Literal["early", "late"] = "early"
    late: Network | None = None
    size: tuple[int, int] = (8, 8)
    names: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    steps: int | list[int] = 4
    shuffle: bool = False
    notes: object = None
    frames: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


def read(**data) -> Settings:
    return read_config(Settings, {"network": {"width": 4}, **data}, "a.json")


def test_defaults_are_those_of_the_dataclasses():
    assert read() == Settings(Network(4))


def test_values_of_every_type():
    settings = read(
        network={"width": 2, "class": "wide", "dilations": [1, 2], "arguments": {"any": [None, {"x": 1}]}},
        rate=1,
        order="late",
        late={"width": 3},
        size=[16, 32],
        names=["a"],
        shares={"a": 1, "b": 0.5},
        steps=[1, 2],
        shuffle=True,
        notes={"by": 3},
    )
    assert settings == Settings(
        Network(2, "wide", (1, 2), {"any": [None, {"x": 1}]}),
        1.0,
        "late",
        Network(3),
        (16, 32),
        ["a"],
        {"a": 1.0, "b": 0.5},
        [1, 2],
        True,
        {"by": 3},
    )
    assert type(settings.rate) is type(settings.shares["a"]) is float
    assert read(late=None) == read()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"network": {}}, "'network.width' is missing"),
        ({"network": 3}, "'network' is not of type dict"),
        ({"network": {"width": "4"}}, "'network.width' is not of type int"),
        ({"network": {"width": True}}, "'network.width' is not of type int"),
        ({"network": {"width": 4.5}}, "'network.width' is not of type int"),
        ({"network": {"widht": 4}}, "'network.widht' is unknown, the closest known key is 'width'"),
        (
            {"network": {"width": 4, "kind": "wide"}},
            "'network.kind' is unknown, known keys are width, class, dilations, arguments",
        ),
        ({"network": {"width": 4, "dilations": [1, "2"]}}, "'network.dilations[1]' is not of type int"),
        ({"rate": True}, "'rate' is not of type float"),
        ({"rate": -1}, "rate must not be negative"),
        ({"order": "never"}, "order 'never' is not one of early, late"),
        ({"late": {"width": None}}, "'late.width' is not of type int"),
        ({"size": [1]}, "'size' has 1 elements instead of 2"),
        ({"names": "a"}, "'names' is not of type list"),
        ({"shares": {"a": "1"}}, "'shares.a' is not of type float"),
        ({"steps": "4"}, "'steps' is not of type list"),
        ({"shuffle": 1}, "'shuffle' is not of type bool"),
        ({"frames": 4}, "'frames' is unknown, the closest known key is 'names'"),
    ],
)
def test_each_fault_names_its_key_and_the_remedy(data, fault):
    with pytest.raises(InputError) as refused:
        read(**data)
    assert str(refused.value) == f"a.json: {fault}; correct it."


def test_content_that_is_no_object():
    with pytest.raises(InputError, match=r"^a.json: it is not a JSON object; install it again\.$"):
        read_config(Settings, [], "a.json", "install it again")
