"""The figure of an audit: the ladder of all blocks, and what each step adds in each block."""

import numpy as np

from sevis.analysis.audit import ALL, OWN
from sevis.figures.gates.audit import CAPTION, COLOURS, audit_chart
from tests.helpers.audits import audit_of

BLOCKS = ("SE_2_1", "SE_4_1", "SE_5_1", "SE_5_2")
FROZEN = dict(zip((*BLOCKS, "SE_5", ALL), [(40, 10), (12, 10), (5, 5), (30, 9), (8, 2), (300, 10)], strict=True))
AUDIT = audit_of(FROZEN, images=1000, correct=800)


def parts():
    """The bars, the numbers beside them, and the dots by the name of their step."""
    bars, numbers, *dots = audit_chart(AUDIT).figure.data
    return bars, numbers, {trace.name: trace for trace in dots}


def test_each_rung_has_a_bar_with_its_interval_and_its_number():
    bars, numbers, _ = parts()
    right = [410, 460, 510, 800, 490]  # 800 - 300 + 10 where all are frozen; 50 and 100 fewer on the rungs below it, and 20 for shuffled
    np.testing.assert_allclose(bars.x, [count / 10 for count in right])
    low, high = np.array([outcome.top1_interval for outcome in AUDIT.ladder(ALL).values()]).T
    np.testing.assert_allclose(bars.x + bars.error_x.array, 100 * high)
    np.testing.assert_allclose(bars.x - bars.error_x.arrayminus, 100 * low)
    assert [text.strip() for text in numbers.text] == ["41.0 %", "46.0 % (+5.0)", "51.0 % (+5.0)", "80.0 % (+29.0)", "49.0 %"]
    np.testing.assert_allclose(numbers.x, 100 * high)  # behind the interval, not under it


def test_every_dot_stands_at_what_its_step_adds():
    figure, (_, _, dots) = audit_chart(AUDIT).figure, parts()
    addresses = (*BLOCKS, "SE_5")
    expected = {name: [AUDIT.steps[address][name] for address in addresses] for name in ("level", "pattern", "answer")}
    expected["unshuffled"] = [AUDIT.outcomes[address]["shuffled"].reverse for address in addresses]
    assert list(dots) == list(expected)
    ends = []
    for name, steps in expected.items():
        trace = dots[name]
        np.testing.assert_allclose(trace.x, [100 * (step.won - step.lost) / 1000 for step in steps])
        low, high = np.array([step.change_interval for step in steps]).T
        np.testing.assert_allclose(trace.x + trace.error_x.array, 100 * high)
        np.testing.assert_allclose(trace.x - trace.error_x.arrayminus, 100 * low)
        np.testing.assert_allclose(np.round(trace.y), np.arange(len(addresses)))
        ends += [*low, *high]
    low, high = figure.layout.xaxis2.range
    assert low < 100 * min(0, *ends) and high > 100 * max(0, *ends)
    np.testing.assert_allclose(dots["answer"].x, [3.0, 0.2, 0, 2.1, 0.6])
    assert list(figure.layout.yaxis.ticktext) == ["open", "level", "frozen", "as it is", "shuffled"]
    assert list(figure.layout.yaxis2.ticktext) == [*BLOCKS, "all of SE_5"]


def test_a_colour_has_one_meaning():
    """The bar of a rung and the dots of the step to it; no two of them alike."""
    bars, _, dots = parts()
    assert len(set(COLOURS.values())) == len(COLOURS) == 5
    assert list(bars.marker.color) == list(COLOURS.values())
    for name, scales in {"level": "level", "pattern": "frozen", "answer": OWN, "unshuffled": "shuffled"}.items():
        assert dots[name].marker.color == COLOURS[scales]


def test_the_dots_of_a_row_do_not_hide_each_other():
    *_, dots = parts()
    assert len({trace.y[0] for trace in dots.values()}) == len({trace.marker.symbol for trace in dots.values()}) == 4


def test_the_legend_has_room_between_the_parts():
    """On a phone, 366 pixels wide, the legend wraps: each entry takes about 8 pixels a letter, and 45 for its mark and the gaps."""
    figure = audit_chart(AUDIT).figure
    entries = [8 * len(trace.name) + 45 for trace in figure.data if trace.showlegend is not False]
    lines, left = 1, 0
    for entry in entries:
        lines, left = (lines, left + entry) if left + entry <= 366 - 120 else (lines + 1, entry)
    height = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    between = (figure.layout.yaxis.domain[0] - figure.layout.yaxis2.domain[1]) * height
    assert between >= 52 + 22 * lines  # the axis of the upper part is 52 pixels high


def test_the_caption_names_every_rung_and_step():
    for word in ("Open:", "Level:", "Frozen:", "Shuffled:", "level,", "pattern,", "answer,", "unshuffled,", "95 % intervals"):
        assert word in CAPTION
    table = audit_chart(AUDIT).table
    assert {"blocks", "before", "after", "lost", "won", "change_low", "p_value", "smallest_loss"} <= set(table)
