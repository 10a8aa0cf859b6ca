"""Registers the extension with ComfyUI."""

WEB_DIRECTORY = "./web"  # the help pages, in docs/, and the editors: ComfyUI serves this folder to the page


async def comfy_entrypoint() -> object:
    """The extension; imported, and ComfyUI's host put in place, only when ComfyUI asks for it."""
    from .mimaface_core import host
    from .nodes import MIMAFaceExtension
    from .nodes.comfyui.examples import offer_examples
    from .nodes.comfyui.host import ComfyUIHost, server_routes
    from .nodes.comfyui.preview_route import add_editor_routes
    from .nodes.previews import STORE

    comfyui = ComfyUIHost()
    host.use(comfyui)
    offer_examples(comfyui.input_folder())
    routes = server_routes()
    if routes is not None:
        add_editor_routes(routes, STORE)
    return MIMAFaceExtension()
