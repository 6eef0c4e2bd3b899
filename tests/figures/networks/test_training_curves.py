"""Training curves against the logs that went in."""

from math import isnan

import numpy as np
import pytest

from sevis.errors import SevisError
from sevis.figures.networks.training_curves import (
    WINDOW,
    WITH_AND_WITHOUT,
    LiveCurve,
    live_curves,
    seed_curves,
    smooth,
    training_curves,
)


def row(epoch, loss, top1):
    return {"epoch": epoch, "size": 32, "train_loss": loss + 0.5, "val_loss": loss, "top1": top1, "top5": 0.9, "seconds": 1.0}


RUNS = ([row(1, 3.0, 0.1), row(2, 2.0, 0.3)], [row(1, 3.4, 0.2), row(2, 2.6, 0.5), row(3, 1.0, 0.6)])


def named(figure, axis, *, lines=True):
    return [trace for trace in figure.data if trace.yaxis == axis and (trace.fill is None) == lines]


def test_a_run_has_its_loss_and_its_top1_by_epoch():
    figure = training_curves({"a <b>": RUNS[0], "b": RUNS[1]}).figure
    losses, top1 = named(figure, "y"), named(figure, "y2")
    np.testing.assert_allclose(losses[0].y, [3.0, 2.0])
    np.testing.assert_allclose(losses[1].y, [3.5, 2.5])
    np.testing.assert_allclose(losses[2].x, [1, 2, 3])
    np.testing.assert_allclose(top1[1].y, [20, 50, 60])
    assert losses[0].name == "a &lt;b&gt;"
    assert losses[0].line.color == losses[1].line.color == top1[0].line.color != top1[1].line.color
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["a &lt;b&gt;", "b", "validation", "training"]
    assert figure.layout.yaxis.type == "log", "an early loss far above the others must not hide them"


def test_a_log_from_a_csv_file_draws_the_same_and_what_it_lacks_is_left_out():
    text = [{name: str(value) for name, value in line.items() if name != "train_loss"} | {"top5": ""} for line in RUNS[0]]
    losses = named(training_curves({"a": text}).figure, "y")
    np.testing.assert_allclose(losses[0].y, [3.0, 2.0])
    assert all(map(isnan, losses[1].y))


def test_seeds_are_a_mean_and_a_band_as_far_as_all_have_come():
    chart = seed_curves({"SE": RUNS})
    figure, table = chart.figure, chart.table
    np.testing.assert_allclose(named(figure, "y")[0].y, [3.2, 2.3])
    band = named(figure, "y", lines=False)[0]
    np.testing.assert_allclose(band.x, [1, 2, 2, 1])
    np.testing.assert_allclose(band.y, [3.4, 2.6, 2.0, 3.0])
    assert table["number"] == [0, 0, 1, 1, 1]
    assert table["top1"] == [0.1, 0.3, 0.2, 0.5, 0.6]


def test_the_caption_says_of_what_and_whether_there_are_several_seeds():
    rest = (
        "the solid line is the validation loss, the dotted line the loss on augmented training images, and top-1 is that of the "
        "validation images"
    )
    assert training_curves({"a": RUNS[0]}).caption == f"Training, by epoch: {rest}."
    assert seed_curves({"SE": RUNS}, what=WITH_AND_WITHOUT, source="on a toaster").caption == (
        f"Training with SE and without, mean over seeds, with a band from the lowest to the highest: {rest}; on a toaster."
    )


@pytest.mark.parametrize("runs", [{}, {"a": []}])
def test_curves_need_a_finished_epoch(runs):
    with pytest.raises(SevisError, match=r"at least one|no finished epoch"):
        training_curves(runs)


def test_a_live_loss_is_the_mean_of_some_steps():
    losses = np.random.default_rng(0).random(2 * WINDOW + 3)
    steps, means = smooth(losses)
    np.testing.assert_allclose(steps, [WINDOW, 2 * WINDOW])
    np.testing.assert_allclose(means, [losses[:WINDOW].mean(), losses[WINDOW : 2 * WINDOW].mean()])
    assert len(smooth([])[0]) == 0


def test_live_curves_stand_on_one_axis_of_epochs():
    runs = {"1: old": LiveCurve(np.linspace(3, 1, 40), (0.2, 0.4), 20), "2: new": LiveCurve(np.linspace(3, 2, 25), (0.3,), 20)}
    chart = live_curves(runs, epochs=2, source="on a toaster")
    figure, table = chart.figure, chart.table
    np.testing.assert_allclose(figure.data[0].x, [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(figure.data[1].y, [20, 40])
    np.testing.assert_allclose(figure.data[3].x, [1])
    assert figure.layout.xaxis.range[1] > 2
    assert chart.caption.endswith("each name ends with the seed; on a toaster.")
    assert len(table["loss"]) == 65
    assert [(table["step"][at], value) for at, value in enumerate(table["top1"]) if value] == [(20, "0.2"), (40, "0.4"), (20, "0.3")]
