"""The command that counts parameters and multiply-adds."""

import re

import pytest

from sevis.cli.parser import main
from sevis.paper import TABLES_2_AND_3
from sevis.weights.card import DEFAULT


def test_costs_of_networks_by_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["se_resnet50", "resnet20", "legacy_senet154", "torchvision/densenet121", DEFAULT]
    assert main(["costs", *names]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("name")
    cells = {line.split()[0]: re.split(r"\s{2,}", line) for line in lines[: len(names)]}
    assert list(cells) == names
    assert cells["se_resnet50"][1:6] == ["224", "28,088,024", "2,530,992 (+9.90 %)", "2,514,944", "28.1 M"]
    assert cells["se_resnet50"][6:] == ["3.860 G", "2.515 M (+0.07 %)", "3.866 G", "3.87 G"]
    assert cells["resnet20"][1] == "32"
    assert cells["legacy_senet154"][2] == "115,088,984"
    assert cells["torchvision/densenet121"][2] == "7,978,856"
    assert cells["torchvision/densenet121"][3:6] == ["-"] * 3
    assert cells[DEFAULT][1] == "64"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["costs", "se_resnet51"], "of sevis's own, se_resnet50"),
        (["costs", "resnet18", "se_resnet51"], "se_resnet50"),
        (["costs", "--paper", "--size", "64"], "leave names and other options out"),
        (["costs", "se_resnet50", "--size", "0"], "expected a whole number from 1 on, got '0'"),
        (["costs", "se_resnet50", "--size", "100001"], "at most 100000 pixels a side, got 100001"),
        (["costs", "vgg16_bn", "--size", "16"], "3 × 16 × 16 is too small for VGG: the smallest possible input is 3 × 32 × 32"),
        (["costs", "se_resnet50", "--stages", "4,x"], "expected a whole number from 1 on, got 'x'"),
        (["costs", "se_resnet50", "--stages", "6"], "no stage 6"),
        (["costs", "se_resnet50", "--placement", "up"], "standard, pre, post, identity, 3x3"),
        (["costs", "se_resnet50", "--squeeze", "min"], "unknown squeeze 'min'"),
        (["costs", "se_resnet50", "--reduction", "257"], "between 1 and the 256 channels"),
        (["costs", "se_resnet50", "--width", "nan"], "got nan"),
        (["costs", "resnet50", "--squeeze", "max"], "build se_resnet50, or leave squeeze out"),
        (["costs", "efficientnet_b0", "--no-bias"], "--no-bias: only for the networks that sevis builds itself"),
    ],
)
def test_a_mistake_about_costs_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    try:
        code: object = main(words)
    except SystemExit as error:  # argparse's own
        code = error.code
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert len(told.err.splitlines()) == 1
    assert message in told.err


@pytest.mark.parametrize(
    ("options", "parameters", "paper", "operations"),
    [
        (["--no-bias", "--reduction", "8"], "30,586,920", "30.7 M", "-"),
        (["--no-bias", "--stages", "4"], "26,343,464", "26.4 M", "3.86 G"),
        (["--no-bias", "--placement", "3x3"], "25,714,216", "25.8 M", "3.86 G"),
        (["--no-bias", "--squeeze", "none"], "28,071,976", "28.1 M", "4.27 G"),
        (["--no-bias", "--stages", "2,3"], "25,712,680", "-", "-"),
        (["--size", "32"], "28,088,024", "28.1 M", "-"),
    ],
)
def test_costs_of_the_papers_alternatives(
    capsys: pytest.CaptureFixture[str], options: list[str], parameters: str, paper: str, operations: str
) -> None:
    assert main(["costs", "se_resnet50", *options]) == 0
    cells = re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[1])
    assert (cells[2], cells[5], cells[9]) == (parameters, paper, operations)


def test_costs_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "se_resnet18", "--by-block"]) == 0
    told = capsys.readouterr().out
    blocks, sites = told.split("se_resnet18, by block\n")[1].split("se_resnet18, its SE blocks")
    assert [line.split()[0] for line in blocks.splitlines()[1:3]] == ["conv1", "layer1.0"]
    assert "512 × 7 × 7" in blocks
    assert [line.split()[0] for line in sites.splitlines()[2:]] == [
        *(f"SE_{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)),
        "all",
    ]


@pytest.mark.slow
def test_costs_beside_every_row_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "--paper"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    rows, notes = lines[:20], lines[21:]
    assert [line.split()[1] for line in rows] == [name for row in TABLES_2_AND_3 for name in (row.name, f"se_{row.name}")]
    far = [line.split()[1] for line in rows if line.endswith("*")]
    assert far == ["inception_resnet_v2", "se_inception_resnet_v2", "shufflenet", "se_shufflenet"]
    assert [note.split(":")[0] for note in notes] == ["* Inception-ResNet-v2", "* ShuffleNet"]
