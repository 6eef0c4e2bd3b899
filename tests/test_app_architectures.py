"""The page Architectures: every network of the paper, plain and with SE, beside what the paper prints."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import sevis
from sevis.pages.blueprints import SENET_154, Design, cost_of, list_families
from sevis.paper import TABLES_2_AND_3

APP = str(Path(sevis.__file__).parents[1] / "app.py")


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("sevis/pages/architectures.py").run()
    assert not app.exception
    return app


def text(app: AppTest) -> str:
    return " ".join([*(block.value for block in app.markdown), *(block.value for block in app.caption)])


def test_the_page_opens_on_resnet_50() -> None:
    app = open_page()
    assert [title.value for title in app.title] == ["Architectures"]
    assert "2,514,944 weights" in text(app)  # (2/16) * (3 * 256**2 + 4 * 512**2 + 6 * 1024**2 + 3 * 2048**2)
    assert not app.error


def test_every_network_of_the_paper_can_be_chosen() -> None:
    assert {row.name for row in TABLES_2_AND_3} | {SENET_154} <= set(list_families())


@pytest.mark.parametrize("name", ["vgg16_bn", "shufflenet", SENET_154])
def test_another_network_from_the_url(name: str) -> None:
    app = open_page(architecture=name)
    assert not app.error


def test_costs_are_those_of_the_network_that_is_built() -> None:
    design = Design("resnet50", reduction=8, stages=(4,), bias=False)
    model = sevis.build("se_resnet50", reduction=8, stages=(4,), bias=False)
    assert cost_of(design).parameters == sum(parameter.numel() for parameter in model.parameters())
    assert len(sevis.find_sites(model)) == len(cost_of(design).sites) == 6
    assert cost_of(design.plain).sites == ()
