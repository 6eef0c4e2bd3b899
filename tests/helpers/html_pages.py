"""What a browser would read in a page of HTML, and what the page draws."""

import json
import re
from html.parser import HTMLParser

HOSTILE = '<img src="https://example.org/x.png" onerror="alert(1)"> & </script>'


class Page(HTMLParser):
    """What a browser would read: the addresses it is asked to load, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.addresses, self.tags, self.text, self.scripts, self._inside = [], [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "poster", "action")]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.text).append(data)


def drawn(html):
    """The y values of every trace that a page draws, in order."""
    found = []
    for script in Page(html).scripts:
        match = re.search(r'Plotly\.newPlot\(\s*"[^"]+",\s*(\[.*?\]),\s*\{"', script, re.DOTALL)
        found += [trace["y"] for trace in json.loads(match[1])] if match else []
    return found
