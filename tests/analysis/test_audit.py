"""What an audit says, and the file that holds it: a changed one is refused."""

import json
from dataclasses import replace

import pytest

from sevis.analysis.audit import CHANGES, Audit, AuditProvenance, Outcome, ParameterCounts
from sevis.errors import SevisError
from sevis.settings import pretrained_folder
from tests.helpers.processes import loaded_by


def make_audit():
    outcomes = {name: {change: Outcome(9, 5, 1, 2) for change in CHANGES} for name in ("SE_2_1", "SE_5_1", "SE_5", "SE")}
    return Audit(
        outcomes=outcomes, parameters=ParameterCounts(network=100, se=20, se_last_stage=15), metadata=AuditProvenance(model="small")
    )


def test_the_shares_are_the_papers():
    parameters = ParameterCounts(network=25_557_032 + 2_514_944, se=2_514_944, se_last_stage=1_572_864)
    assert replace(make_audit(), parameters=parameters).shares == (pytest.approx(0.0984, abs=5e-5), pytest.approx(0.0369, abs=5e-5))


def test_the_shipped_audits_are_written_as_they_were_read(tmp_path):
    paths = list(pretrained_folder().glob("*.audit.json"))
    assert paths
    for path in paths:
        Audit.load(path).save(tmp_path / path.name)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_an_audit_is_read_without_torch():
    assert loaded_by("import sevis.analysis.audit") == set()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda stored: stored["rows"][4].update(lost=stored["rows"][4]["lost"] + 1), "its fractions do not match its counts"),
        (lambda stored: stored["rows"][4].update(change_low=0.5), "its fractions do not match its counts"),
        (lambda stored: stored["rows"][4].update(correct=1000), "the rows are not all of the same images"),
        (lambda stored: stored["rows"][4].update(lost="many"), r"Expected `int`, got `str` - at `\$\.rows\[4\]\.lost`"),
        (lambda stored: stored["rows"][4].update(lost=-1), r"at `\$\.rows\[4\]\.lost`"),
        (lambda stored: stored["rows"][4].update(images=0), r"at `\$\.rows\[4\]\.images`"),
        (lambda stored: stored["rows"][4].update(note="x"), "unknown field `note`"),
        (lambda stored: [row.update(correct=20) for row in stored["rows"]], "expected some of at least one image"),
        (lambda stored: stored["rows"].pop(), "a row is missing"),
        (lambda stored: stored["rows"].reverse(), "a row is missing"),
        (lambda stored: stored["parameters"].update(se=0), "numbers of parameters contradict each other"),
        (lambda stored: stored.pop("metadata"), "missing required field `metadata`"),
        (lambda stored: stored["metadata"].update(outputs="many"), r"at `\$\.metadata\.outputs`"),
        (lambda stored: stored["metadata"].update(outputs=0), r"at `\$\.metadata\.outputs`"),
        (lambda stored: stored.update(rows=None), r"at `\$\.rows`"),
        (lambda stored: stored.update(format="sevis-audit-0"), r"'sevis-audit-0' - at `\$\.format`"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, spoil, reason):
    path = tmp_path / "a.json"
    make_audit().save(path)
    assert Audit.load(path) == make_audit()
    stored = json.loads(path.read_text())
    spoil(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(SevisError, match=rf"{reason}.*make it again with python -m sevis audit"):
        Audit.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"x"', "\xff", "[" * 100_000, '{"metadata": ' + "[" * 100_000])
def test_a_file_that_is_no_audit_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    with pytest.raises(SevisError, match="no audit at"):
        Audit.load(path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SevisError, match="make it again"):
        Audit.load(path)
