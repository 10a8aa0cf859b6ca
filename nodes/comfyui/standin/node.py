"""Schema, node base class, node output and extension, equal to ComfyUI's as far as this extension uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .widgets import Input, Output


class Hidden(str, Enum):
    """Values that a node may ask of its host besides its inputs; read as `cls.hidden.<name>`."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


@dataclass
class HiddenHolder:
    """The hidden values of one execution; None for those that the node did not ask for."""

    unique_id: str | None = None
    prompt: dict[str, Any] | None = None
    extra_pnginfo: dict[str, Any] | None = None


@dataclass
class Schema:
    """Id, texts, inputs and outputs of a node."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    is_output_node: bool = False

    def finalize(self) -> None:
        """Give output nodes their hidden values and unnamed outputs an id."""
        if self.is_output_node:
            recorded = [Hidden.prompt, Hidden.extra_pnginfo]
            self.hidden = [*self.hidden, *(kind for kind in recorded if kind not in self.hidden)]
        for slot, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{slot}_{output.io_type}_"

    def validate(self) -> None:
        """Check the ids.

        Raises:
            ValueError: an id is used twice.
        """
        ids = Counter([*(i.id for i in self.inputs), *(o.id for o in self.outputs)])
        twice = [name for name, count in ids.items() if count > 1]
        if twice:
            raise ValueError(f"{self.node_id}: ids of inputs and outputs must be unique, but {twice} are not.")


class _ClassProperty:
    """A property that is read on the class itself."""

    def __init__(self, read: Callable[[type[ComfyNode]], Any]) -> None:
        self.read = read

    def __get__(self, instance: ComfyNode | None, owner: type[ComfyNode]) -> Any:
        return self.read(owner)


class ComfyNode(ABC):
    """Base of all nodes: override `define_schema` and `execute`, and `validate_inputs` where it is needed."""

    hidden: HiddenHolder = HiddenHolder()

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema:
        """The node's schema."""

    @classmethod
    @abstractmethod
    def execute(cls, *args: Any, **inputs: Any) -> NodeOutput:
        """The node's work."""

    @classmethod
    def validate_inputs(cls, *args: Any, **inputs: Any) -> bool | str:  # noqa: ARG003 - overrides name their inputs
        """True, or the fault of the inputs that an override names in its signature (None stands for a link)."""
        return True

    @classmethod
    def GET_BASE_CLASS(cls) -> type[ComfyNode]:
        """The class whose `validate_inputs` counts as not overridden."""
        return ComfyNode

    @classmethod
    def FINALIZE_SCHEMA(cls) -> Schema:
        """The schema with hidden values and the ids of all outputs."""
        schema = cls.define_schema()
        schema.finalize()
        return schema

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The finalized and checked schema.

        Raises:
            ValueError: an id is used twice.
        """
        schema = cls.FINALIZE_SCHEMA()
        schema.validate()
        return schema

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple]]:
        """The inputs in ComfyUI's older notation: {"required"|"optional"|"hidden": {id: (type, options)}}."""
        schema = cls.FINALIZE_SCHEMA()
        inputs: dict[str, dict[str, tuple]] = {"required": {}}
        for one in schema.inputs:
            options = one.as_dict()
            options.pop("optional", None)
            inputs.setdefault("optional" if one.optional else "required", {})[one.id] = (one.get_io_type(), options)
        if schema.hidden:
            inputs["hidden"] = {kind.name: (kind.value,) for kind in schema.hidden}
        return inputs

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """The node's entry in `/object_info`."""
        schema, inputs = cls.GET_SCHEMA(), cls.INPUT_TYPES()
        return {
            "input": inputs,
            "input_order": {group: list(members) for group, members in inputs.items()},
            "output": [o.io_type for o in schema.outputs],
            "output_is_list": [o.is_output_list for o in schema.outputs],
            "output_name": [o.display_name or o.io_type for o in schema.outputs],
            "output_tooltips": [o.tooltip or None for o in schema.outputs],
            "name": schema.node_id,
            "display_name": schema.display_name,
            "description": schema.description,
            "python_module": None,  # the server's to fill in
            "category": schema.category,
            "output_node": schema.is_output_node,
            "deprecated": False,
            "experimental": False,
            "api_node": False,
        }

    OUTPUT_NODE = _ClassProperty(lambda cls: cls.GET_SCHEMA().is_output_node)
    RETURN_TYPES = _ClassProperty(lambda cls: [output.io_type for output in cls.GET_SCHEMA().outputs])

    @classmethod
    def PREPARE_CLASS_CLONE(cls, hidden_inputs: dict[Hidden, Any] | None) -> type[ComfyNode]:
        """A subclass for one execution, so that a node keeps no state and reads its own hidden values."""
        hidden = HiddenHolder(**{kind.name: value for kind, value in (hidden_inputs or {}).items()})
        return type(f"{cls.__name__}Clone", (cls,), {"hidden": hidden})

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **inputs: Any) -> NodeOutput:
        """`execute`, whose result may also be a tuple of outputs or None.

        Raises:
            TypeError: `execute` returned something else.
        """
        result: object = cls.execute(*args, **inputs)
        if isinstance(result, NodeOutput):
            return result
        if result is None:
            return NodeOutput()
        if isinstance(result, tuple):
            return NodeOutput(*result)
        raise TypeError(f"{cls.__name__}.execute returned {type(result).__name__} instead of a NodeOutput.")


class NodeOutput:
    """A node's result.

    Args:
        args: its outputs in order.
        ui: what the front end shows of it.
    """

    def __init__(self, *args: Any, ui: UIOutput | dict[str, Any] | None = None) -> None:
        self.args, self.ui = args, ui

    @property
    def result(self) -> tuple | None:
        """The outputs; None where there are none."""
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class UIOutput(ABC):
    """Something for the front end to show."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """The node's entry in the history: {"images": [...]}, {"text": (...)} and so on."""


class ComfyExtension(ABC):
    """A set of nodes, as `comfy_entrypoint` returns it."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The node classes."""
