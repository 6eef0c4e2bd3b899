"""The one exception that a user's own mistake raises: its message is a sentence for people, with the cure."""


class SevisError(ValueError):
    """Something the user can mend: an unreadable image, a missing file, an unknown name.

    The command line prints the message and exits with code 2; the app shows it in place of the figure.
    """
