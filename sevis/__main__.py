"""python -m sevis ..."""

import sys

from sevis.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
