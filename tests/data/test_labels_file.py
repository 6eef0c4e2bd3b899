"""Lists of labels as people and programs write them: each read as it is meant, or refused with a sentence."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sevis.data.datasets import ImageDataset, open_dataset
from sevis.data.labels_file import read_labels
from sevis.errors import SevisError
from tests.helpers.pictures import write_classes

IMAGES = ("p0.png", "p1.png", "p2.png", "p 3.png")
TRUE = {"p0.png": "golden eagle", "p1.png": "golden retriever", "p2.png": "cat", "p 3.png": "cat"}


def classes(data: ImageDataset) -> dict[str, str]:
    return {file: data.classes[label] for file, label in zip(data.files, data.labels, strict=True)}


def read(text: str, *, encoding: str = "utf-8", images: tuple[str, ...] = IMAGES, prefer: str = "") -> Mapping[str, str]:
    return read_labels(text.encode(encoding), "l.csv", images, prefer=prefer).classes


def table(separator: str, head: tuple[str, ...] = (), rows: Mapping[str, str] = TRUE, *, quoted: bool = False) -> str:
    quote = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    lines = io.StringIO()
    csv.writer(lines, delimiter=separator, quoting=quote).writerows([*([head] if head else []), *rows.items()])
    return lines.getvalue()


# --- how it is written ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("head", [(), ("file", "label"), ("Image Path", "Class Name"), ("id", "breed"), ("Filename", "what is seen")])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_read_with_any_separator_head_and_encoding(separator: str, head: tuple[str, ...], quoted: bool, encoding: str) -> None:
    assert read(table(separator, head, quoted=quoted), encoding=encoding) == TRUE


@pytest.mark.parametrize("space", [" ", "   ", "\t"])
def test_white_space_separates_where_nothing_else_does(space: str) -> None:
    assert read("".join(f"{file}{space}{name}\n" for file, name in TRUE.items())) == TRUE, "names and classes of several words, too"


def test_a_class_keeps_its_commas_and_a_file_its_semicolon() -> None:
    synonyms = {"p0.png": "tabby, tabby cat", "p1.png": 'the "big" one', "p2.png": "a;b", "p 3.png": "cat"}
    for separator in (",", ";", "\t"):
        assert read(table(separator, rows=synonyms)) == synonyms
    assert read("p0.png tabby, tabby cat\np1.png cat\n") == {"p0.png": "tabby, tabby cat", "p1.png": "cat"}
    assert read("a;b.png,cat\nc;d.png,dog\n", images=("a;b.png", "c;d.png")) == {"a;b.png": "cat", "c;d.png": "dog"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Width;Height;ClassId;Path\n9;9;14;Test/p0.png\n9;8;3;Test/p1.png\n", {"p0.png": "14", "p1.png": "3"}),
        (",file_name,score,label\n0,p0.png,0.5,cat\n1,p1.png,0.7,dog\n", {"p0.png": "cat", "p1.png": "dog"}),
        ("id,image,species\n0,p1,cat\n1,p0,dog\n", {"p1.png": "cat", "p0.png": "dog"}),
        ("class_id,class_name,image\n3,cat,p0\n4,dog,p1\n", {"p0.png": "cat", "p1.png": "dog"}),
        ("cat,p0.png\ncat,p1.png\ndog,p2.png\n", {"p0.png": "cat", "p1.png": "cat", "p2.png": "dog"}),
        ("p0.png\tn02\t0\t0\t62\t57\np1.png\tn01\t0\t0\t1\t1\n", {"p0.png": "n02", "p1.png": "n01"}),
        ("ImageId,PredictionString\np0,n02 1 2 3 4 n02 5 6 7 8\np1,n01 1 2 3 4 \n", {"p0.png": "n02", "p1.png": "n01"}),
        ("p0.png, cat\n\n# a remark\np1.png , dog \n", {"p0.png": "cat", "p1.png": "dog"}),
        ('{"file_name": "p0.png", "label": 3, "text": "a"}\n{"file_name": "p1.png", "label": 10}\n', {"p0.png": "3", "p1.png": "10"}),
        (json.dumps([{"image": "p0.png", "class": "a"}], indent=1), {"p0.png": "a"}),
        (json.dumps({"p0.png": "a", "p1.png": "b c"}, indent=1), {"p0.png": "a", "p1.png": "b c"}),
    ],
)
def test_columns_are_known_by_their_names_and_by_the_files_in_them(text: str, expected: dict[str, str]) -> None:
    assert read(text) == expected
    assert read(text.replace("\n", "\r\n")) == expected


def test_files_are_known_by_the_ends_of_their_paths() -> None:
    images = ("train/cat/1.png", "train/dog/1.png", "train/dog/2.png", "val/3.png", "train/3.png", "x.y.jpg")
    text = "train\\cat\\1.png,a\nC:\\data\\train\\dog\\1.png,b\n./2,c\n3.png,d\nx.y,e\n"
    expected = {"train/cat/1.png": "a", "train/dog/1.png": "b", "train/dog/2.png": "c", "val/3.png": "d", "x.y.jpg": "e"}
    assert read(text, images=images, prefer="val/") == expected
    with pytest.raises(SevisError, match=r"1 lines of l\.csv name more than one image each: 1\.png; write the folders before the names"):
        read("1.png,a\n2.png,b\n", images=images)
    assert read("fish/1.png,a\n2.png,b\n", images=images) == {"train/dog/2.png": "b"}, "a file of another folder is another file"


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"none of the 0 lines of l\.csv names one of the images here.* got an empty file"),
        ("p0.png\np1.png\n", r"none of the 2 lines of l\.csv .* and gives its class"),
        ("490\n361\n", r"none of the 2 lines .* expected lines such as ILSVRC2012_val_00000001\.JPEG,n01751748, got 490, 361"),
        (
            "p0.png,a\np0.png,b\np1.png,a\n",
            r"l\.csv gives 1 image more than one class: p0\.png \(a and b\); leave one line for each image",
        ),
        ("p0.png,\np1.png,\n", r"no line of l\.csv gives an image its class"),
        (
            "file,healthy,rust\np0,1,0\np1,0,1\n",
            r"not clear which column of l\.csv holds the classes: its columns are file, healthy, rust; add a column",
        ),
        ('p0.png,"a\np1.png,b\np2.png,c\n', r"a quote in l\.csv that is not closed takes other lines in, after a: close it"),
        ('{"a": ["p0.png"], "b": ["p1.png"]}', r"names an image that is here: expected an object with a file and its class"),
        ("p0.png room 1\np1.png room 2\n", r"several words after p0\.png, with numbers among them \(room 1\): put commas or tabs"),
        ("p0.png 1 2 1\np1.png 1 1 2\n", "put commas or tabs between its columns"),
        ("1,p0.png\n2,p1.png\n", "not clear which column"),
        ('{"info": {}, "images": []}', "none of|not clear|JSON"),
        ("[1, 2]", "none of"),
        ('{"file": "p0.png"\n', r"l\.csv is no JSON \("),
        ("[" * 100_000, "none of"),
        ("p0.png,a\n" + "x" * 200_000 + ",b\n", r"l\.csv is no table \(field larger than"),
    ],
)
def test_what_is_no_list_of_these_images_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SevisError, match=sentence) as caught:
        read(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PK\x03\x04rest", "l.csv is an Excel workbook or a zip: save the sheet as CSV UTF-8"),
        (b"PAR1", "is a Parquet file"),
        ("p0.png,Häher".encode("cp1252"), "not a text file in UTF-8: .* save it as CSV UTF-8"),
        (b"p0.png,a\0b", "not a text file in UTF-8"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
    ],
)
def test_files_that_are_no_text_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(SevisError, match=sentence):
        read_labels(data, "l.csv", IMAGES)


# --- what is told ---


def test_lines_and_images_that_do_not_meet_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_classes(tmp_path / "flat", *IMAGES)
    (root / "p9.tif").write_bytes(b"II*\0")
    lines = ["p0.png,a", "q1.png,b", "q2.png,b", "q3.png,b", "q4.png,b", "p9.tif,a", "p0.png,a", "p1.png,"]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    data = open_dataset(root, labels=tmp_path / "l.csv")
    assert classes(data) == {"p0.png": "a"}
    told = {
        f"5 of the 8 lines of {tmp_path / 'l.csv'} name no image that is here: q1.png, q2.png, q3.png, ...",
        f"1 of the 8 lines of {tmp_path / 'l.csv'} give no class: p1.png",
        f"1 of the lines of {tmp_path / 'l.csv'} name an image again, with the same class: p0.png",
        f"3 images are on no line of {tmp_path / 'l.csv'} and so left out: p 3.png, p1.png, p2.png",
    }
    assert told == set(data.notes)
    assert data.skipped == {".tif": 1}
    assert {message.removeprefix("flat: ") for message in caplog.messages} == set(data.remarks) > told


def test_of_two_columns_of_classes_the_one_that_is_taken_is_told() -> None:
    told = read_labels(b"file,label_id,label\np0.png,3,cat\np1.png,4,dog\n", "l.csv", IMAGES)
    assert told.classes == {"p0.png": "cat", "p1.png": "dog"}
    assert told.notes == ("the classes are those of the column label of l.csv, not of label_id",)


def test_columns_without_names_are_told_where_they_are_numbers_and_refused_where_they_are_words() -> None:
    told = read_labels(b"p0.png,cat,0.9\np1.png,dog,0.8\n", "l.csv", IMAGES)
    assert told.classes == {"p0.png": "cat", "p1.png": "dog"}
    assert told.notes == ("the lines of l.csv have more than two columns: the class is taken from the one after the file",)
    for text in ("p0.png,tabby, tabby cat\np1.png,dog\n", "file,label\np0.png,tabby, tabby cat\np1.png,dog\n"):
        with pytest.raises(
            SevisError, match=r"not clear where the class ends in p0\.png, tabby, tabby cat of l\.csv: put a class .* into quotes"
        ):
            read(text)


def test_a_head_in_other_words_is_no_line_and_a_missing_file_is_no_head() -> None:
    head = read_labels("sep=;\nDatei;Klasse\np0.png;Häher\np1.png;Bär\n".encode(), "l.csv", IMAGES)
    assert head.classes == {"p0.png": "Häher", "p1.png": "Bär"}
    assert head.notes == ("the first line of l.csv (Datei, Klasse) is taken for the names of its columns",)
    missing = read_labels(b"q0.png,a\np1.png,b\n", "l.csv", IMAGES)
    assert missing.notes == ("1 of the 2 lines of l.csv name no image that is here: q0.png",)


def test_capitals_are_no_other_file_unless_there_is_one() -> None:
    assert read("P0.PNG,a\nIMG/p1.Png,b\n", images=("p0.png", "img/p1.png")) == {"p0.png": "a", "img/p1.png": "b"}
    assert read("A.png,a\na.png,b\n", images=("a.png", "A.png")) == {"A.png": "a", "a.png": "b"}


def test_numbers_stand_in_the_order_of_their_values(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "flat", *IMAGES)
    (tmp_path / "l.csv").write_text("file,label\np0.png,10\np1.png,9\np2.png,0\n")
    data = open_dataset(root, labels=tmp_path / "l.csv")
    assert (data.classes, data.labels) == (("0", "9", "10"), (2, 1, 0))


def test_a_description_of_several_lines_is_a_cell() -> None:
    assert read('file,text,label\np0.png,"a,\nb",cat\np1.png,c,dog\n') == {"p0.png": "cat", "p1.png": "dog"}


def test_names_that_thousands_of_folders_share_are_told_apart() -> None:
    images = [f"XR_ELBOW/patient{number}/study1_negative/image1.png" for number in range(5000)]  # as MURA lies
    text = "".join(f"MURA-v1.1/valid/{image},{number % 2}\n" for number, image in enumerate(images))
    listed = read_labels(text.encode(), "l.csv", images)
    assert [listed.classes[image] for image in images] == [str(number % 2) for number in range(5000)]


@pytest.mark.parametrize("text", ["{0}.png,{1}\n", "{1},{0}.png\n"])
def test_a_class_that_is_the_name_of_an_image_too_is_a_class(text: str) -> None:
    images = tuple(f"{number}.png" for number in range(4))
    lines = "".join(text.format(number, number % 3) for number in (*range(4), 9))  # 9.png is not here, so classes name more images
    assert read(lines, images=images) == {image: str(number % 3) for number, image in enumerate(images)}


def test_accents_as_macos_writes_them_make_no_difference() -> None:
    assert read("caf\u00e9.png,a\n", images=("cafe\u0301.png",)) == {"cafe\u0301.png": "a"}


def test_a_column_of_parts_is_told_because_it_is_not_read() -> None:
    listed = read_labels(b"file,label,split\np0.png,a,train\np1.png,b,val\n", "l.csv", IMAGES)
    assert listed.classes == {"p0.png": "a", "p1.png": "b"}
    assert listed.notes == ("the column split of l.csv chooses no part of the data: only folders do",)
