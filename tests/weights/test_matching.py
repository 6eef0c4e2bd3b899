"""Classes of a data set are found among the outputs of a network, or not at all."""

from sevis.weights.matching import harmless_spelling, has_names, match_classes, names_by_id
from tests.helpers.cards import make_card

CARD = make_card(classes=("goldfish", "golden retriever", "T-shirt"), wnids=("n01443537", "n02099601", "n03595614"))


def outputs(*names, card=CARD):
    return match_classes([name if isinstance(name, tuple) else (name,) for name in names], card).tolist()


def test_ids_and_names_are_found_in_any_order():
    assert outputs("n02099601", "goldfish", "n09999999") == [1, 0, -1]
    assert outputs(("fish", "n01443537"), ("goldfish", "Carassius auratus")) == [-1, -1], "two classes cannot be one output"
    assert outputs(("fish", "n01443537"), "nobody") == [0, -1]
    assert outputs() == []
    assert outputs("goldfish", card=make_card(classes=())) == [-1]


def test_harmless_spellings_are_the_same():
    for spelling in (
        "Golden_Retriever",
        "GOLDEN RETRIEVER",
        " golden-retriever ",
        "golden retriever, dog",
        "n02099601-golden",
        "n02099601_x",
    ):
        assert outputs(spelling) == [1], spelling
    assert outputs("t shirt", "Goldfish, Carassius auratus") == [2, 0]
    assert outputs("retriever", "goldfishes", "n02099601x", "n0209960112") == [-1] * 4
    assert harmless_spelling("ﬁsh__ and-Chips") == "fish and chips"


def test_an_exact_name_counts_before_a_spelling():
    card = make_card(classes=("a b", "A_B", "c"), wnids=None)
    assert outputs("A_B", "a b", card=card) == [1, 0]
    assert outputs("a-b", card=card) == [-1], "it may be either"
    assert outputs("x", "y", card=make_card(classes=("x", "x", "y"), wnids=None)) == [-1, 2]


def test_folders_called_by_numbers_are_not_counted():
    card = make_card(classes=tuple(map(str, range(12))), wnids=None)
    folders = sorted(map(str, range(12)))  # 0, 1, 10, 11, 2, ...
    assert outputs(*folders, card=card) == [int(folder) for folder in folders]


def test_names_and_numbers_are_told_apart():
    assert has_names(CARD)
    assert not has_names(make_card(classes=("output 0", "output 1"), wnids=None))
    assert not has_names(make_card(classes=()))
    assert names_by_id(CARD)["n01443537"] == "goldfish"
    assert names_by_id(make_card()) == {}
