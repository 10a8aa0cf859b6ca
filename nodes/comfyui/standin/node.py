"""Schema, node base class and node output of the stand-in, equal to ComfyUI's as far as this pack uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .widgets import Input, Output


class Hidden(str, Enum):
    """What a node may ask of its host besides its inputs; read as `cls.hidden.<name>`."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenHolder:
    """The hidden values of one execution; anything that was not given reads as None."""

    def __init__(self, values: dict[Hidden, Any] | None = None):
        for kind in Hidden:
            setattr(self, kind.name, (values or {}).get(kind))

    def __getattr__(self, name: str) -> None:
        return None


@dataclass
class Schema:
    """What a node is called, takes and gives."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] | None = None
    outputs: list[Output] | None = None
    hidden: list[Hidden] | None = None
    description: str = ""
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    not_idempotent: bool = False

    def __post_init__(self):
        self.inputs, self.outputs, self.hidden = self.inputs or [], self.outputs or [], self.hidden or []

    def finalize(self) -> None:
        """Give output nodes their hidden values and unnamed outputs an id."""
        if self.is_output_node:
            wanted = [Hidden.prompt, Hidden.extra_pnginfo]
            self.hidden = [*self.hidden, *(kind for kind in wanted if kind not in self.hidden)]
        for slot, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{slot}_{output.io_type}_"

    def validate(self) -> None:
        """Raise ValueError where an id is used twice."""
        ids = Counter([i.id for i in self.inputs] + [o.id for o in self.outputs])
        twice = [name for name, count in ids.items() if count > 1]
        if twice:
            raise ValueError(f"{self.node_id}: ids of inputs and outputs must be unique, but {twice} are not.")


class _ClassProperty:
    def __init__(self, read):
        self.read = read

    def __get__(self, instance, owner):
        return self.read(owner)


class ComfyNode(ABC):
    """Base of all nodes: override `define_schema` and `execute`; optionally the two checks below them."""

    RELATIVE_PYTHON_MODULE: str | None = None
    SCHEMA: Schema | None = None
    hidden: HiddenHolder | None = None

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema:
        """The node's schema."""

    @classmethod
    @abstractmethod
    def execute(cls, **inputs: Any) -> NodeOutput:
        """The node's work."""

    @classmethod
    def validate_inputs(cls, **inputs: Any) -> bool | str:
        """True, or what is wrong with the inputs named in an override's signature (None stands for a link)."""
        return True

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        """A value that changes when the node has to run again although its inputs are the same."""
        return None

    @classmethod
    def GET_BASE_CLASS(cls) -> type:
        return ComfyNode

    @classmethod
    def FINALIZE_SCHEMA(cls) -> Schema:
        schema = cls.define_schema()
        schema.finalize()
        return schema

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The finalized and checked schema. Raises ValueError for ids that are not unique."""
        schema = cls.FINALIZE_SCHEMA()
        schema.validate()
        cls.SCHEMA = schema
        return schema

    @classmethod
    def INPUT_TYPES(cls, include_hidden: bool = True) -> dict[str, dict]:
        """The inputs in ComfyUI's older notation: {"required"|"optional"|"hidden": {id: (type, options)}}."""
        schema = cls.FINALIZE_SCHEMA()
        inputs: dict[str, dict] = {"required": {}}
        for one in schema.inputs:
            options = one.as_dict()
            options.pop("optional", None)
            inputs.setdefault("optional" if one.optional else "required", {})[one.id] = (
                one.get_io_type(),
                options,
            )
        if include_hidden and schema.hidden:
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
            "python_module": cls.RELATIVE_PYTHON_MODULE,
            "category": schema.category,
            "output_node": schema.is_output_node,
            "deprecated": schema.is_deprecated,
            "experimental": schema.is_experimental,
            "api_node": False,
        }

    OUTPUT_NODE = _ClassProperty(lambda cls: cls.GET_SCHEMA().is_output_node)
    NOT_IDEMPOTENT = _ClassProperty(lambda cls: cls.GET_SCHEMA().not_idempotent)
    RETURN_TYPES = _ClassProperty(lambda cls: [output.io_type for output in cls.GET_SCHEMA().outputs])

    @classmethod
    def PREPARE_CLASS_CLONE(cls, hidden_inputs: dict[Hidden, Any] | None) -> type[ComfyNode]:
        """A subclass for one execution, so that a node keeps no state and reads its own hidden values."""
        return type(f"{cls.__name__}Clone", (cls,), {"hidden": HiddenHolder(hidden_inputs)})

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **inputs: Any) -> NodeOutput:
        """`execute`, whose result may also be a tuple of outputs or None."""
        result = cls.execute(*args, **inputs)
        if isinstance(result, NodeOutput):
            return result
        if result is None:
            return NodeOutput()
        if isinstance(result, tuple):
            return NodeOutput(*result)
        raise TypeError(f"{cls.__name__}.execute returned {type(result).__name__} instead of a NodeOutput.")


class NodeOutput:
    """What a node returns: its outputs in order, and `ui`, what the front end is to show."""

    def __init__(self, *args: Any, ui: _UIOutput | dict | None = None):
        self.args, self.ui = args, ui

    @property
    def result(self) -> tuple | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class _UIOutput(ABC):
    """Something for the front end to show."""

    @abstractmethod
    def as_dict(self) -> dict:
        """The node's entry in the history: {"images": [...]}, {"text": (...)} and so on."""


class ComfyExtension(ABC):
    """A set of nodes, as `comfy_entrypoint` returns it."""

    async def on_load(self) -> None:
        """Called once when the extension is loaded."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The node classes."""
