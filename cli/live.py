"""`mimaface live`: a photograph moves like the face before this machine's camera or in a feed, in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..mimaface_core.errors import InputError

SHUTDOWN = 2.0  # seconds that a frame has to be finished when the server is ended


def add(commands: argparse._SubParsersAction) -> None:
    """Add `live` to the commands."""
    parser = commands.add_parser(
        "live",
        help="a photograph moves like the face before the camera",
        description="Open a page on this machine on which a photograph moves like the face before its camera, in a"
        " video or in a feed. Nothing leaves this machine.",
    )
    parser.add_argument("source", type=Path, metavar="PHOTOGRAPH", help="who is to move; the page takes others, too")
    parser.add_argument("--feed", metavar="ADDRESS", help="begin with a feed (RTSP, RTMP, HTTP) or a video file")
    parser.add_argument("--pack", default="bundled-implicit", metavar="NAME", help="a pack of either kind")
    parser.add_argument(
        "--without-diffusion",
        action="store_true",
        help="of a pack with a face model, show the renders that condition diffusion, which come at once",
    )
    parser.add_argument("--port", type=int, default=8190, metavar="N", help="of the page (8190)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0: all)")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    try:
        from aiohttp import web
    except ImportError as error:
        raise InputError('mimaface live needs aiohttp; install it with: pip install "mimaface[live]".') from error
    if not 1 <= options.port <= 65535:
        raise InputError(f"--port {options.port} is out of range; use 1 to 65535.")
    from ..live.feeds import check_feed
    from ..live.server import LiveServer
    from ..mimaface_core.live import live_source
    from ..mimaface_core.media.marks.user import request_consent
    from ..mimaface_core.packs.find import open_pack
    from ..mimaface_core.terminal import TerminalHost

    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if options.feed is not None:
        check_feed(options.feed)
    request_consent()
    pack = open_pack(options.pack)
    server = LiveServer(pack, live_source(pack, options.source), options.feed, diffuse=not options.without_diffusion)
    TerminalHost().say(f"Open http://127.0.0.1:{options.port} in a browser; Ctrl-C ends.")
    try:
        web.run_app(server.application(), host="127.0.0.1", port=options.port, print=None, shutdown_timeout=SHUTDOWN)
    except OSError as error:
        raise InputError(f"--port {options.port} cannot be used ({error.strerror}); choose another.") from error
    return 0
