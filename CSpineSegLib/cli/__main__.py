"""`python -m CSpineSegLib.cli`, for processes that start the command line without an installed script."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
