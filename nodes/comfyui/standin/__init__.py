"""Stand-in for the schema classes of ComfyUI's V3 nodes, as far as this extension uses them.

Same names, arguments and `GET_NODE_INFO_V1` result as `comfy_api.v0_0_2` of ComfyUI 0.3.64, so that one node class
serves ComfyUI, the headless runner and the tests. `tests/support/object_info.json` records what that ComfyUI reports.
"""
