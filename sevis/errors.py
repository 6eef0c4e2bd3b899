"""The exceptions that a user's own mistake raises: their message is a sentence for people, with the cure."""

from pathlib import Path


class SevisError(Exception):
    """Something the user can mend: an unreadable image, a missing file, an unknown name.

    The command line prints the message and exits with code 2; the app shows it in place of the figure.
    """


# What reading plain values of any content as a typed one (msgspec) may raise: a stranger's JSON can be nested too deep to be read.
UNREADABLE = (SevisError, ValueError, RecursionError)


class Diverged(SevisError):  # noqa: N818  (as WeightsMissing)
    """A training came to nothing: its loss or its weights are no longer numbers, and with the same recipe and seed they never will be.

    Attributes:
        reason: what is no longer a number, and since when: a clause.
    """

    def __init__(self, reason: str, *, cure: str) -> None:
        super().__init__(f"{reason}: {cure}")
        self.reason = reason


class NoBlocks(SevisError):  # noqa: N818  (as WeightsMissing)
    """A network has no SE block to look into.

    Attributes:
        reason: that it has none, and what it has instead: a clause to follow the name of the network.
    """

    def __init__(self, network: str, reason: str) -> None:
        super().__init__(f"{network} {reason}: choose an SE network, such as sevis.build('se_resnet50')")
        self.reason = reason


class WeightsMissing(SevisError):  # noqa: N818  (it says what is so, as FileNotFoundError's cause does)
    """The trained weights of a network are not here, and may not or cannot be downloaded; the message says what to fetch by hand.

    Attributes:
        name: the network's.
        source: the address of the file.
        path: where to put it.
    """

    def __init__(self, name: str, *, source: str, path: Path, reason: str) -> None:
        super().__init__(
            f"the weights of {name} are not here ({reason}): download {source} and save it as {path}, or use random weights "
            "(weights='random', --weights random)"
        )
        self.name = name
        self.source = source
        self.path = path


def one_line(error: BaseException) -> str:
    """Return what an exception says, in one line of at most 200 characters; its class where it says nothing."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
