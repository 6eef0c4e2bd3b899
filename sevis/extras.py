"""The packages that not every use of sevis needs: which extra brings each, and the sentence where one is missing."""

from importlib.util import find_spec

from sevis.errors import SevisError

EXTRAS = {
    "streamlit": "app",
    "plotly": "app",
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


def require(package: str, purpose: str) -> None:
    """Raise SevisError, with the command that installs it, where a package of EXTRAS is missing.

    Args:
        package: as it is imported.
        purpose: what needs it, a noun: "the app".
    """
    if not is_installed(package):
        raise SevisError(f"{TITLES.get(package, package)} is not installed, which {purpose} needs: {install_command(package)}")


def install_command(package: str) -> str:
    """Return the command that installs the extra with that package."""
    return f"pip install 'sevis[{EXTRAS[package]}]'"
