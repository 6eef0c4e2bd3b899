"""The drawing of a unit: boxes that do not overlap, joined by arrows, and what is written in them."""

import pytest

from sevis.figures.networks.drawing import HIGH, WIDE, block_drawing
from sevis.networks.drawing import draw_unit
from tests.helpers.units import UNITS, make

LARGE = ("senet154", "se_inception_resnet_v2", "se_resnet164")


@pytest.mark.parametrize(
    ("name", "options", "unit", "path"), [pytest.param(*row, marks=pytest.mark.slow) if row[0] in LARGE else row for row in UNITS]
)
def test_boxes_do_not_overlap_and_arrows_join_them(name: str, options: dict[str, object], unit: str, path: str) -> None:
    drawing = draw_unit(make(name, **options), unit)
    chart = block_drawing(drawing, path=path, network="ResNet", source=", as in a figure")
    figure = chart.figure
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in figure.layout.shapes]
    assert len(set(centres)) == len(drawing.steps)
    assert 2 * WIDE < 1
    assert 2 * HIGH < 1
    routes = [trace for trace in figure.data if trace.mode == "lines"]
    for (start, end), route in zip(drawing.arrows, routes, strict=True):
        for step, (x, y) in ((start, (route.x[0], route.y[0])), (end, (route.x[-1], route.y[-1]))):
            assert abs(x - centres[step][0]) == pytest.approx(WIDE) or abs(y - centres[step][1]) == pytest.approx(HIGH), (start, end)
        for corner in zip(route.x[1:-1], route.y[1:-1], strict=True):
            assert all(abs(corner[0] - x) > WIDE or abs(corner[1] - y) > HIGH for x, y in centres)
    texts = " ".join(note.text for note in figure.layout.annotations)
    assert all(step.label in texts and step.shape in texts for step in drawing.steps)
    way = f"{'with' if name.startswith('se') else 'without'} SE"
    assert figure.layout.title.text == f"{unit} {way}"
    assert chart.caption == f"{unit} ({path}) of ResNet {way}, drawn from the model itself, as in a figure."
    assert chart.table["step"] == [step.label for step in drawing.steps]
