"""Tables as lines of text."""

from collections.abc import Collection, Iterator, Sequence


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Yield the rows as lines whose columns stand below each other, flush left but for those in `right`; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.rjust(width) if place in right else text.ljust(width) for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
