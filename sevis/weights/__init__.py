"""From a name or a file to a ready network: its card, its weights, its classes and preprocessing.

Its names are listed in `__init__.pyi` and imported on first use, because reading a card must not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
