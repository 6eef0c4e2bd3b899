"""The packages that not every use of sevis needs: which extra brings each, and the sentence where one is missing."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from sevis.errors import SevisError

EXTRAS = {
    "streamlit": "app",
    "plotly": "export",
    "scipy": "stats",
    "sklearn": "stats",
    "timm": "zoo",
    "torchvision": "zoo",
    "kaleido": "export",
    "pyarrow": "export",
}
TITLES = {"sklearn": "scikit-learn", "streamlit": "Streamlit", "scipy": "SciPy", "kaleido": "Kaleido"}


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def require(package: str, purpose: str, *, extra: str | None = None) -> None:
    """Raise SevisError, with the command that installs it, where a package of EXTRAS is missing.

    Args:
        package: as it is imported.
        purpose: what needs it, a noun: "the app".
        extra: the one to install where several bring the package; None: that of EXTRAS.
    """
    if not is_installed(package):
        command = install_command(extra or EXTRAS[package])
        raise SevisError(f"{TITLES.get(package, package)} is not installed, which {purpose} needs: {command}")


def install_command(extra: str) -> str:
    """Return the command that installs an extra: of the installed sevis, or of a clone that is used without being installed."""
    try:
        version("sevis")
    except PackageNotFoundError:
        return f"pip install '.[{extra}]' in the folder of the clone"
    return f"pip install 'sevis[{extra}]'"
