"""ComfyUI's page in a real browser, driven by browser/page.mjs."""

import importlib.util
import json
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from support.checkout import ROOT

FOLDER = ROOT / "tests" / "browser"
BLUEPRINTS = sorted(path.stem for path in (ROOT / "subgraphs").glob("*.json"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDED = {
    "chromium": CHROMIUM,
    "node": shutil.which("node"),
    "playwright-core": (FOLDER / "node_modules" / "playwright-core").is_dir(),
    "aiohttp": importlib.util.find_spec("aiohttp"),
    "comfyui-frontend-package": importlib.util.find_spec("comfyui_frontend_package"),
}
MISSING = [name for name, there in NEEDED.items() if not there]
needs_browser = pytest.mark.skipif(
    bool(MISSING), reason=f"needs {', '.join(MISSING)}: install Chromium and Node.js, then run `make browser`"
)


class Page:
    """A browser with the page of one address, whose camera shows `camera`, a file of Motion JPEG, over and over.

    It is called with an action of browser/page.mjs and what that takes.
    """

    def __init__(self, place, address, camera=None):
        self.place, self.address = place, address
        command = ["node", FOLDER / "page.mjs", CHROMIUM, address, *([camera] if camera else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def __call__(self, action, **given):
        print(json.dumps({"do": action, **given}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"failed": "the browser has stopped"}')
        assert "failed" not in answer, answer["failed"]
        return answer["gave"]

    def blueprints(self):
        """The names of this extension's blueprints that the server lists; none where it is too old for them."""
        try:
            with urllib.request.urlopen(f"{self.address}/api/global_subgraphs", timeout=60) as answer:
                return [entry["name"] for entry in json.load(answer).values() if entry["name"] in BLUEPRINTS]
        except urllib.error.HTTPError:
            return []

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
