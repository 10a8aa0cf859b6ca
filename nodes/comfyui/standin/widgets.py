"""Socket types and widgets: ComfyUI's `io.Int`, `io.Image`, `io.Custom`, … with equal options."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar


class FolderType(str, Enum):
    """The three folders that a file can lie in, by their names in the front end."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    """The upload button of a combo of files."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    """The look of a number widget."""

    number = "number"
    slider = "slider"


def _without_none(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


class Input:
    """An input that takes its value over a link only.

    Args:
        id: its name in the graph.
        display_name: its name on the node.
        optional: whether the node runs without it.
        tooltip: the text beside it.
        extra_dict: further options for the front end.
    """

    io_type = "*"

    def __init__(
        self,
        id: str,
        *,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        extra_dict: dict[str, Any] | None = None,
    ) -> None:
        self.id, self.display_name, self.optional, self.tooltip = id, display_name, optional, tooltip
        self.extra_dict = extra_dict or {}

    def get_io_type(self) -> str:
        """Its types, joined by commas."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """Its options in `object_info`."""
        named = _without_none(display_name=self.display_name, optional=self.optional, tooltip=self.tooltip)
        return named | self.extra_dict


class WidgetInput(Input):
    """An input that takes its value from a widget or over a link.

    Args:
        id: its name in the graph.
        default: the value that the widget starts with.
        socketless: whether nothing can be linked to it.
        named: display_name, optional and tooltip, as for `Input`.
    """

    def __init__(self, id: str, *, default: Any = None, socketless: bool | None = None, **named: Any) -> None:
        super().__init__(id, **named)
        self.default, self.socketless = default, socketless
        self.widget_type: str | None = None  # set where the input takes more types than its widget has

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | _without_none(
            default=self.default, socketless=self.socketless, widgetType=self.widget_type
        )


class Output:
    """One output slot of a node.

    Args:
        id: unique among the inputs and outputs of the node; made from its position when None.
        display_name: its name on the node; the type when None.
        tooltip: the text beside it.
        is_output_list: whether each element of the value runs the nodes behind it once.
    """

    io_type = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id, self.display_name, self.tooltip = id, display_name, tooltip
        self.is_output_list = is_output_list


class ComfyType:
    """A socket type: its name and the classes of its inputs and outputs."""

    io_type: ClassVar[str]
    Input: ClassVar[type[Any]]
    Output: ClassVar[type[Any]]

    def __init_subclass__(cls, io_type: str) -> None:
        cls.io_type = io_type
        cls.Input = cls.__dict__.get("Input") or type("Input", (Input,), {})
        cls.Output = type("Output", (Output,), {})
        cls.Input.io_type = cls.Output.io_type = io_type


def Custom(io_type: str) -> type[ComfyType]:
    """A socket type of that name, whose inputs have no widget."""

    class CustomType(ComfyType, io_type=io_type):
        pass

    return CustomType


class Image(ComfyType, io_type="IMAGE"):
    """Images [N, H, W, 3], float in 0–1."""


class Mask(ComfyType, io_type="MASK"):
    """Masks [N, H, W], float in 0–1."""


class Audio(ComfyType, io_type="AUDIO"):
    """A mapping of `waveform` [N, channels, samples] and `sample_rate`."""


class Video(ComfyType, io_type="VIDEO"):
    """A `VideoFromFile` or `VideoFromComponents`."""


class Boolean(ComfyType, io_type="BOOLEAN"):
    """True or false."""

    class Input(WidgetInput):
        """A switch."""


class Int(ComfyType, io_type="INT"):
    """A whole number."""

    class Input(WidgetInput):
        """A number widget; `control_after_generate` adds the control that a seed has."""

        def __init__(
            self,
            id: str,
            *,
            min: int | None = None,
            max: int | None = None,
            step: int | None = None,
            control_after_generate: bool | None = None,
            display_mode: NumberDisplay | None = None,
            **named: Any,
        ) -> None:
            super().__init__(id, **named)
            self.min, self.max, self.step = min, max, step
            self.control_after_generate, self.display_mode = control_after_generate, display_mode

        def as_dict(self) -> dict[str, Any]:
            return super().as_dict() | _without_none(
                min=self.min,
                max=self.max,
                step=self.step,
                control_after_generate=self.control_after_generate,
                display=self.display_mode.value if self.display_mode else None,
            )


class Float(ComfyType, io_type="FLOAT"):
    """A number."""

    class Input(WidgetInput):
        """A number widget; values are rounded to multiples of `round`."""

        def __init__(
            self,
            id: str,
            *,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
            round: float | None = None,
            display_mode: NumberDisplay | None = None,
            **named: Any,
        ) -> None:
            super().__init__(id, **named)
            self.min, self.max, self.step = min, max, step
            self.round, self.display_mode = round, display_mode

        def as_dict(self) -> dict[str, Any]:
            return super().as_dict() | _without_none(
                min=self.min,
                max=self.max,
                step=self.step,
                round=self.round,
                display=self.display_mode.value if self.display_mode else None,
            )


class String(ComfyType, io_type="STRING"):
    """Text."""

    class Input(WidgetInput):
        """A text field."""

        def __init__(self, id: str, *, multiline: bool = False, **named: Any) -> None:
            super().__init__(id, **named)
            self.multiline = multiline

        def as_dict(self) -> dict[str, Any]:
            return super().as_dict() | {"multiline": self.multiline}


class Combo(ComfyType, io_type="COMBO"):
    """One of a list of options."""

    class Input(WidgetInput):
        """A list to choose from; with `upload`, a list of files with a button to add one."""

        def __init__(self, id: str, *, options: list[str], upload: UploadType | None = None, **named: Any) -> None:
            super().__init__(id, **named)
            self.options, self.upload = options, upload

        def as_dict(self) -> dict[str, Any]:
            button = {self.upload.value: True} if self.upload else {}
            return super().as_dict() | {"multiselect": False, "options": self.options, **button}


class MultiType(ComfyType, io_type="COMFY_MULTITYPED_V3"):
    """One of several socket types."""

    class Input(Input):
        """An input of several types; given a widget input instead of an id, it also has that widget.

        Args:
            id: its name in the graph, or an `Input` whose name, texts and widget it takes.
            types: the types it takes over a link.
            named: display_name, optional and tooltip, as for `Input`; an `Input` given as `id` overrides them.
        """

        def __init__(self, id: str | Input, types: Sequence[type[ComfyType]], **named: Any) -> None:
            self.input_override: Input | None = None
            if isinstance(id, Input):
                self.input_override = copy.copy(id)
                if isinstance(self.input_override, WidgetInput):
                    self.input_override.widget_type = self.input_override.get_io_type()
                named["optional"] = id.optional or named.get("optional", False)
                named |= _without_none(tooltip=id.tooltip, display_name=id.display_name)
                id = id.id
            super().__init__(id, **named)
            self.types = types

        def get_io_type(self) -> str:
            widget = [] if self.input_override is None else [self.input_override.get_io_type()]
            return ",".join(dict.fromkeys(widget + [kind.io_type for kind in self.types]))

        def as_dict(self) -> dict[str, Any]:
            widget = {} if self.input_override is None else self.input_override.as_dict()
            return widget | super().as_dict()
