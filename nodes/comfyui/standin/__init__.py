"""The schema classes of ComfyUI's V3 nodes, as far as this pack uses them, for when ComfyUI is not there.

Same names, arguments and `GET_NODE_INFO_V1` result as `comfy_api.v0_0_2` (written against ComfyUI 0.3.64), so that
one node class serves the ComfyUI server, the headless runner and the tests.
"""
