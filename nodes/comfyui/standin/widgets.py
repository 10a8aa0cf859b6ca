"""Sockets and widgets of the stand-in schema: ComfyUI's `io.Int`, `io.Image`, `io.Custom`, … with equal options."""

from __future__ import annotations

import copy
from enum import Enum
from typing import Any


class FolderType(str, Enum):
    """The three folders a file can lie in, as the front end names them."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    """Which upload button a combo of files gets."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    """How a number widget is drawn."""

    number = "number"
    slider = "slider"


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


class Input:
    """A socket: a value that can only come over a link."""

    io_type = "*"

    def __init__(self, id, display_name=None, optional=False, tooltip=None, lazy=None, extra_dict=None):
        self.id, self.display_name, self.optional, self.tooltip = id, display_name, optional, tooltip
        self.lazy, self.extra_dict = lazy, extra_dict or {}

    def get_io_type(self) -> str:
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        options = _given(display_name=self.display_name, optional=self.optional, tooltip=self.tooltip, lazy=self.lazy)
        return options | _given(**self.extra_dict)


class WidgetInput(Input):
    """A value with a widget; it can also come over a link."""

    def __init__(
        self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None, socketless=None,
        widget_type=None, force_input=None, extra_dict=None,
    ):  # fmt: skip
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)
        self.default, self.socketless = default, socketless
        self.widget_type, self.force_input = widget_type, force_input

    def get_io_type(self) -> str:
        return self.widget_type if self.widget_type is not None else self.io_type

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | _given(
            default=self.default,
            socketless=self.socketless,
            widgetType=self.widget_type,
            forceInput=self.force_input,
        )


class Output:
    """One output slot of a node."""

    io_type = "*"

    def __init__(self, id=None, display_name=None, tooltip=None, is_output_list=False):
        self.id, self.display_name, self.tooltip = id, display_name, tooltip
        self.is_output_list = is_output_list


def Custom(io_type: str) -> type:
    """A socket type of one's own: a class with `Input` and `Output`, as ComfyUI's `io.Custom`."""

    class CustomType:
        pass

    CustomType.io_type = io_type
    CustomType.Input = type("Input", (Input,), {"io_type": io_type})
    CustomType.Output = type("Output", (Output,), {"io_type": io_type})
    return CustomType


Image, Mask, Audio, Video, Latent = (Custom(name) for name in ("IMAGE", "MASK", "AUDIO", "VIDEO", "LATENT"))
AnyType = Custom("*")


class Boolean(Custom("BOOLEAN")):
    """True or false."""

    class Input(WidgetInput):
        io_type = "BOOLEAN"

        def __init__(
            self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None, label_on=None,
            label_off=None, socketless=None, force_input=None,
        ):  # fmt: skip
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input)
            self.label_on, self.label_off = label_on, label_off

        def as_dict(self):
            return super().as_dict() | _given(label_on=self.label_on, label_off=self.label_off)


class Int(Custom("INT")):
    """A whole number."""

    class Input(WidgetInput):
        io_type = "INT"

        def __init__(
            self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None, min=None,
            max=None, step=None, control_after_generate=None, display_mode=None, socketless=None,
            force_input=None,
        ):  # fmt: skip
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input)
            self.min, self.max, self.step = min, max, step
            self.control_after_generate, self.display_mode = control_after_generate, display_mode

        def as_dict(self):
            return super().as_dict() | _given(
                min=self.min,
                max=self.max,
                step=self.step,
                control_after_generate=self.control_after_generate,
                display=self.display_mode.value if self.display_mode else None,
            )


class Float(Custom("FLOAT")):
    """A number."""

    class Input(WidgetInput):
        io_type = "FLOAT"

        def __init__(
            self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None, min=None,
            max=None, step=None, round=None, display_mode=None, socketless=None, force_input=None,
        ):  # fmt: skip
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input)
            self.min, self.max, self.step = min, max, step
            self.round, self.display_mode = round, display_mode

        def as_dict(self):
            return super().as_dict() | _given(
                min=self.min, max=self.max, step=self.step, round=self.round, display=self.display_mode
            )


class String(Custom("STRING")):
    """Text."""

    class Input(WidgetInput):
        io_type = "STRING"

        def __init__(
            self, id, display_name=None, optional=False, tooltip=None, lazy=None, multiline=False,
            placeholder=None, default=None, dynamic_prompts=None, socketless=None, force_input=None,
        ):  # fmt: skip
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None, force_input)
            self.multiline, self.placeholder = multiline, placeholder
            self.dynamic_prompts = dynamic_prompts

        def as_dict(self):
            return super().as_dict() | _given(
                multiline=self.multiline, placeholder=self.placeholder, dynamicPrompts=self.dynamic_prompts
            )


class Combo(Custom("COMBO")):
    """One of a list of options; with `upload` the options are files."""

    class Input(WidgetInput):
        io_type = "COMBO"

        def __init__(
            self, id, options=None, display_name=None, optional=False, tooltip=None, lazy=None, default=None,
            control_after_generate=None, upload=None, image_folder=None, socketless=None,
        ):  # fmt: skip
            if isinstance(options, type) and issubclass(options, Enum):
                options = [option.value for option in options]
            if isinstance(default, Enum):
                default = default.value
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless)
            self.options, self.control_after_generate = options, control_after_generate
            self.upload, self.image_folder = upload, image_folder

        def as_dict(self):
            return super().as_dict() | _given(
                multiselect=False,
                options=self.options,
                control_after_generate=self.control_after_generate,
                image_folder=self.image_folder.value if self.image_folder else None,
                **({self.upload.value: True} if self.upload else {}),
            )


class MultiType(Custom("COMFY_MULTITYPED_V3")):
    """A socket that takes several types; given an `Input` instead of an id, that one also draws a widget."""

    class Input(Input):
        io_type = "COMFY_MULTITYPED_V3"

        def __init__(self, id, types, display_name=None, optional=False, tooltip=None, lazy=None, extra_dict=None):
            self.input_override = None
            if isinstance(id, Input):
                self.input_override = copy.copy(id)
                if isinstance(self.input_override, WidgetInput):
                    self.input_override.widget_type = self.input_override.get_io_type()
                optional = id.optional or optional
                tooltip = tooltip if id.tooltip is None else id.tooltip
                display_name = display_name if id.display_name is None else id.display_name
                lazy = lazy if id.lazy is None else id.lazy
                id = id.id
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)
            self.types = types

        def get_io_type(self):
            own = [] if self.input_override is None else [self.input_override.get_io_type()]
            return ",".join(dict.fromkeys(own + [kind.io_type for kind in self.types]))

        def as_dict(self):
            widget = {} if self.input_override is None else self.input_override.as_dict()
            return widget | super().as_dict()
