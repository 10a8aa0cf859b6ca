"""`mimaface serve`: the workflows as HTTP endpoints, with a page to try them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..mimaface_core.errors import InputError
from .crew import add_crew, crew_options

HOUR_SECONDS = 3600


def add(commands: argparse._SubParsersAction) -> None:
    """Add `serve` to the commands."""
    parser = commands.add_parser(
        "serve",
        help="the workflows as HTTP endpoints",
        description="Serve the workflows over HTTP: a page at /, the description in OpenAPI at /openapi.json. Jobs that"
        " were accepted survive a restart.",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("service"), metavar="DIR", help="jobs, uploads, results (service)"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8189, metavar="N", help="the port (8189)")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="a file with a line `NAME TOKEN` for each client")
    add_crew(parser, "job")
    parser.add_argument(
        "--max-upload", type=int, default=200, metavar="MIB", help="most that a request may bring (200)"
    )
    parser.add_argument("--quota", type=int, default=4, metavar="N", help="jobs of a client that wait or run (4)")
    parser.add_argument("--keep", type=float, default=24, metavar="HOURS", help="how long results are kept (24)")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    try:
        from aiohttp import web
    except ImportError as error:
        raise InputError('mimaface serve needs aiohttp; install it with: pip install "mimaface[serve]".') from error

    from ..mimaface_core.checks import LOOPBACK
    from ..mimaface_core.media.marks.user import request_consent
    from ..mimaface_core.terminal import TerminalHost
    from ..scale.jobs import Jobs
    from ..scale.service import Limits, Service

    tokens = read_tokens(options.tokens) if options.tokens else {}
    if not tokens and options.host not in LOOPBACK:
        raise InputError(f"--host {options.host} lets anybody in; name the clients in a file: --tokens FILE.")
    for name in ("port", "max_upload", "quota"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(options, name)} is out of range; use at least 1.")
    request_consent()
    host = TerminalHost()
    jobs = Jobs(options.data, crew_options(options), host)
    limits = Limits(tokens, options.max_upload << 20, options.quota, options.keep * HOUR_SECONDS)
    with jobs.opened():
        try:
            host.say(f"Serving on http://{options.host}:{options.port}")
            web.run_app(Service(jobs, limits).application(), host=options.host, port=options.port, print=None)
        except OSError as error:
            raise InputError(f"--port {options.port} cannot be used ({error.strerror}); choose another.") from error
    return 0


def read_tokens(path: Path) -> dict[str, str]:
    """Clients by token. Raises InputError where the file cannot be used."""
    from ..mimaface_core.files import read_text

    try:
        lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"--tokens {path} cannot be read ({error}); check the file.") from error
    if not lines or any(len(line) != 2 for line in lines):
        raise InputError(f"--tokens {path} has to hold a line `NAME TOKEN` for each client; correct it.")
    return {token: name for name, token in lines}
