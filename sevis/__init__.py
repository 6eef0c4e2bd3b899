"""sevis opens up Squeeze-and-Excitation networks: see, image by image and class by class, which channels they open and shut.

The public names are listed once, in `__init__.pyi`. Each is imported on first use: the app draws its first page from arrays while torch,
two seconds of import, loads beside it.
"""

import lazy_loader

from sevis.settings import VERSION

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = VERSION
