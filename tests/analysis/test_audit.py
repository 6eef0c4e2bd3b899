"""What an audit says, and the file that holds it: a changed one is refused."""

import json
from dataclasses import replace

import pytest
from scipy import stats

from sevis.analysis.audit import CHANGES, Audit, AuditProvenance, Outcome, ParameterCounts, known_audit
from sevis.analysis.paired_tests import smallest_loss
from sevis.errors import SevisError
from sevis.settings import pretrained_folder
from tests.helpers.audits import audit_of
from tests.helpers.cards import ENTRY
from tests.helpers.processes import loaded_by

WEIGHTS = "ab12" * 16


def make_audit():
    changes = {"open": (1, 2), "level": (3, 1), "frozen": (1, 2), "shuffled": (2, 0)}
    steps = {"level": Outcome(9, 6, 4, 1), "pattern": Outcome(9, 3, 0, 3), "answer": Outcome(9, 6, 2, 1)}
    addresses = ("SE_2_1", "SE_5_1", "SE_5", "SE")
    return Audit(
        outcomes={name: {change: Outcome(9, 5, *changes[change]) for change in CHANGES} for name in addresses},
        steps=dict.fromkeys(addresses, steps),
        parameters=ParameterCounts(network=100, se=20, se_last_stage=15),
        metadata=AuditProvenance(model="small", weights=WEIGHTS),
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
        (lambda stored: stored["rows"][3].update(lost=stored["rows"][3]["lost"] + 1), "its fractions do not match its counts"),
        (lambda stored: stored["rows"][4].update(change_low=0.5), "its fractions do not match its counts"),
        (lambda stored: stored["rows"][7].update(correct=6), "the rows are not all of the same images"),
        (lambda stored: stored["rows"][7].update(correct=1000), "expected counts of at least one image"),
        (lambda stored: stored["rows"][4].update(lost=5, won=1), "its steps contradict its changes"),
        (lambda stored: stored["rows"][6].update(lost=1, won=0), "its steps contradict its changes"),
        (lambda stored: stored["rows"][6].update(lost=3, won=2), "its steps contradict its changes"),
        (lambda stored: stored["rows"].pop(4), "a row is missing"),
        (lambda stored: stored["rows"].append(stored["rows"][0]), "its fractions do not match its counts"),
        (lambda stored: stored["rows"].append({**stored["rows"][0], "after": "half"}), "a row is missing"),
        (lambda stored: stored["rows"][4].update(before="shuffled"), "a row is missing"),
        (lambda stored: stored["rows"][4].update(lost="many"), r"Expected `int`, got `str` - at `\$\.rows\[4\]\.lost`"),
        (lambda stored: stored["rows"][4].update(lost=-1), r"at `\$\.rows\[4\]\.lost`"),
        (lambda stored: stored["rows"][4].update(images=0), r"at `\$\.rows\[4\]\.images`"),
        (lambda stored: stored["rows"][4].update(note="x"), "unknown field `note`"),
        (lambda stored: [row.update(correct=20) for row in stored["rows"]], "expected counts of at least one image"),
        (lambda stored: [row.update(images=10**9) for row in stored["rows"]], r"at `\$\.rows\[0\]\.images`"),
        (lambda stored: stored["rows"].pop(), "a row is missing"),
        (lambda stored: stored["rows"].reverse(), "a row is missing"),
        (lambda stored: stored["parameters"].update(se=0), "numbers of parameters contradict each other"),
        (lambda stored: stored.pop("metadata"), "missing required field `metadata`"),
        (lambda stored: stored["metadata"].update(outputs="many"), r"at `\$\.metadata\.outputs`"),
        (lambda stored: stored["metadata"].update(outputs=0), r"at `\$\.metadata\.outputs`"),
        (lambda stored: stored.update(rows=None), r"at `\$\.rows`"),
        (lambda stored: stored.update(format="sevis-audit-0"), r"'sevis-audit-0' - at `\$\.format`"),
        (lambda stored: stored.update(format="sevis-audit-1"), "it is of an older sevis, whose audits held no level"),
        (lambda stored: stored.pop("format"), "missing required field `format`"),
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


def test_one_step_after_the_other_leads_from_open_to_the_network_as_it_is():
    audit = make_audit()
    assert {scales: outcome.right for scales, outcome in audit.ladder("SE").items()} == {
        "open": 6,
        "level": 3,
        "frozen": 6,
        "as it is": 5,
        "shuffled": 3,
    }
    assert sum(step.change for step in audit.steps["SE"].values()) == pytest.approx(audit.real.top1 - audit.outcomes["SE"]["open"].top1)
    assert audit.outcomes["SE"]["frozen"].reverse == audit.steps["SE"]["answer"]


@pytest.mark.parametrize(
    "counts", [(9, 10, 0, 0), (9, 5, 6, 0), (9, 5, 0, 5), (9, 5, -1, 0), (9, 5, 0, -1), (0, 0, 0, 0), (10**9, 5, 0, 0)]
)
def test_counts_that_contradict_each_other_are_refused(counts):
    with pytest.raises(SevisError, match="expected counts of at least one image"):
        Outcome(*counts)


def test_the_tests_of_single_blocks_are_corrected_for_their_number():
    """Two blocks: by hand, with scipy's binomial test and Holm's rule."""
    changes = {"SE_2_1": (22, 6), "SE_5_1": (5, 14), "SE_5": (20, 20), "SE": (90, 10)}
    audit = audit_of(changes, images=1000, correct=500)
    raw = [stats.binomtest(lost, lost + won).pvalue for lost, won in (changes["SE_2_1"], changes["SE_5_1"])]
    assert raw[0] < raw[1]
    assert [test.p_value for test in audit.tests] == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])
    assert [(test.block, test.costs, test.gains) for test in audit.tests] == [("SE_2_1", True, False), ("SE_5_1", False, False)]
    assert audit.tests[1].smallest_loss == smallest_loss(19, 1000, tests=2)
    gain = audit_of(changes | {"SE_5_1": (2, 20)}, images=1000, correct=500)
    assert [(test.costs, test.gains) for test in gain.tests] == [(True, False), (False, True)]


def test_the_audit_of_weights_is_found_where_sevis_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "ships"))
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path / "home"))
    (tmp_path / "ships").mkdir()
    (tmp_path / "ships" / "index.json").write_text("{}")
    assert known_audit(WEIGHTS) is None
    (tmp_path / "home" / "audit").mkdir(parents=True)
    make_audit().save(tmp_path / "home" / "audit" / f"any.{WEIGHTS[:12]}.json")
    assert known_audit(WEIGHTS) == make_audit()
    for other in (WEIGHTS[:12] + "0" * 52, "*", "../" + WEIGHTS, "None"):
        assert known_audit(other) is None
    (tmp_path / "ships" / "index.json").write_text(json.dumps({"small": ENTRY | {"sha256": WEIGHTS}}))
    make_audit().save(tmp_path / "ships" / "small.audit.json")
    (tmp_path / "home" / "audit" / f"any.{WEIGHTS[:12]}.json").write_text("{")
    assert known_audit(WEIGHTS) == make_audit()
    (tmp_path / "ships" / "index.json").write_text("[")
    assert known_audit(WEIGHTS) is None
