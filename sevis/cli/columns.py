"""Tables as lines of text."""

from collections.abc import Collection, Iterator, Sequence


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Yield the rows as lines whose columns stand below each other, flush left but for those in `right`; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justify = [str.rjust if index in right else str.ljust for index in range(len(widths))]
    for row in rows:
        yield "  ".join(move(text, width) for move, text, width in zip(justify, row, widths, strict=True)).rstrip()
