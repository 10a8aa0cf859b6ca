"""`python -m mimaface`: the command."""

import sys

from .cli.main import main

sys.exit(main())
