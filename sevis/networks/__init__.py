"""The networks that can be built: a file a family, and how SE is put into them, drawn, and counted.

Its names are listed in `__init__.pyi` and imported on first use, because reading where SE goes must not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
