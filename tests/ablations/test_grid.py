"""The grid: every variant is another network, and the one that its row of the paper's tables is of."""

import pytest
from msgspec.structs import replace

from sevis import paper
from sevis.ablations.grid import BASELINE, KEYS, PLAIN, VARIANTS, find_variant, tables
from sevis.errors import SevisError
from sevis.networks.libraries.sevis_library import DEFAULTS
from tests.helpers.made_up_runs import BASE


def test_each_variant_is_another_network():
    recipes = [variant.recipe(BASE, 0) for variant in VARIANTS]
    assert len({str(recipe.architecture(3)) for recipe in recipes}) == len(VARIANTS) == 19
    assert len({variant.slug for variant in VARIANTS}) == 19
    assert {recipe.seed for recipe in recipes} == {0}


def test_every_row_of_the_paper_is_measured_with_the_network_that_it_is_of():
    rows = [(table.number, row) for table in tables() for row in table.rows if row.printed]
    assert [(number, row.label, row.printed) for number, row in rows] == [
        (entry.table, entry.label, entry.printed) for entry in paper.ABLATIONS
    ]
    width = replace(BASE, width=1.0)
    for (_, row), entry in zip(rows, paper.ABLATIONS, strict=True):
        recipe = find_variant(row.key).recipe(width, 0)
        expected = DEFAULTS | dict(entry.options) | {"name": entry.name, "num_classes": 3}
        assert recipe.architecture(3).arguments() == {name: value for name, value in expected.items() if value is not None}
    more = [row for table in tables() for row in table.rows if not row.printed]
    assert [find_variant(row.key).recipe(width, 0).architecture(3).stages for row in more] == [(5,), (2, 3, 4)]
    assert {row.key for table in tables() for row in table.rows} == set(KEYS)


def test_a_recipe_keeps_what_the_grid_does_not_vary():
    base = replace(BASE, reduction=8, gate="tanh", bias=True, epochs=7, label_smoothing=0.0)
    recipe = find_variant("max").recipe(base, 5)
    assert (recipe.epochs, recipe.label_smoothing, recipe.seed) == (7, 0.0, 5)
    assert (recipe.reduction, recipe.gate, recipe.bias, recipe.squeeze) == (16, "sigmoid", False, "max")
    assert find_variant(PLAIN).recipe(base, 5).model == "resnet50"
    with pytest.raises(SevisError, match="resnet18 has no SE to vary"):
        find_variant(BASELINE).recipe(replace(base, model="resnet18"), 0)
    with pytest.raises(SevisError, match="no variant 'r=3'; the nearest are 'r="):
        find_variant("r=3")
