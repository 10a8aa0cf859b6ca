"""Registers the extension with ComfyUI."""


async def comfy_entrypoint():
    """The extension; imported, and ComfyUI's surroundings put in place, only when ComfyUI asks for it."""
    from .mimaface_core import host
    from .nodes import MIMAFaceExtension
    from .nodes.comfyui_host import ComfyUIHost

    host.use(ComfyUIHost())
    return MIMAFaceExtension()
