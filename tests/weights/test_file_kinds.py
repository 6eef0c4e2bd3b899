"""What only bears the name of a file of weights: known by its first bytes, and refused with the cure."""

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn

from sevis import SevisError
from sevis.weights.checkpoint import read_checkpoint
from sevis.weights.file_kinds import is_safetensors

STATE = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.ones(2)}
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def array_by(save_array: Callable[..., object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            save_array(file, np.ones(3))

    return write


def scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to give it up
        torch.jit.save(torch.jit.script(nn.Linear(3, 2)), path)


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.ones(1, 3),)), path.with_suffix(".pt2"))
    path.with_suffix(".pt2").rename(path)


def zipped(**members: bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name.replace("__", "/"), data)

    return write


def tarred(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.pth"), io.BytesIO())


def bytes_of(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def text_of(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


INDEX = json.dumps({"metadata": {"total_size": 1}, "weight_map": {"fc.weight": "model-00001-of-00002.safetensors"}})
# What each begins with is taken from the format's own specification.
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "Git LFS": (text_of(POINTER), r"is a pointer of Git LFS, not the weights: run git lfs pull"),
    "HTML": (text_of("\n <!DOCTYPE html><html>"), r"is a web page, not the weights: download the file itself"),
    "HTML in capitals": (text_of("<HTML><HEAD>"), r"is a web page"),
    "HTML with a mark": (bytes_of(b"\xef\xbb\xbf<!doctype HTML>" + "ä".encode() * 5000), r"is a web page"),
    "a refusal in XML": (text_of('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), r"is a web page"),
    "a refusal in JSON": (text_of('{"error": "not found"}'), r"is text, not weights \(it begins with '\{\"error\": \"not found\"\}'\)"),
    "a refusal in words": (
        text_of("Entry not found\n" * 3),
        r"is text, not weights \(it begins with 'Entry not found'\): download the file",
    ),
    "a Python file": (text_of("import torch\nx = 'größer'"), r"is text, not weights"),
    "an index of parts": (text_of(INDEX), r"is the index of weights in several files: save them in one"),
    "nothing": (bytes_of(b""), r"a\.pth is empty: download or save it again"),
    "zeros": (bytes_of(b"\0" * 10_000), r"a\.pth is empty but for zeros: download or save it again"),
    "ONNX": (bytes_of(b"\x08\x08\x12\x07pytorch\x1a\x052.5.0:\x10"), r"is an ONNX model.*save model\.state_dict\(\) where it was exported"),
    "TensorFlow": (bytes_of(b"\x08\x01\x12\xff\x00"), r"is a model of TensorFlow: find the weights that were saved by PyTorch"),
    "TensorFlow Lite": (bytes_of(b"\x1c\x00\x00\x00TFL3\x14\x00"), r"is a model of TensorFlow Lite"),
    "HDF5": (bytes_of(b"\x89HDF\r\n\x1a\n\x00\x00"), r"is HDF5, as Keras and TensorFlow write it"),
    "Keras": (zipped(**{"config.json": b"{}", "model.weights.h5": b"\x89HDF"}), r"is a model of Keras"),
    "GGUF": (bytes_of(b"GGUF\x03\x00\x00\x00"), r"is GGUF"),
    "TorchScript": (scripted, r"is a TorchScript archive.*torch\.save\(torch\.jit\.load\(FILE\)\.state_dict\(\), 'weights\.pth'\)"),
    "torch.export": (exported, r"is a program of torch\.export: save its weights"),
    "npy": (array_by(np.save), r"is a single array of NumPy's"),
    "npz": (array_by(np.savez), r"is an archive of NumPy arrays"),
    "zip": (zipped(**{"run__best.pth": b"x"}), r"is a zip archive, and not one of PyTorch's: unpack it"),
    "gzip": (bytes_of(gzip.compress(b"x")), r"is compressed by gzip: unpack it, and name the file of weights"),
    "bzip2": (bytes_of(bz2.compress(b"x")), r"is compressed by bzip2"),
    "xz": (bytes_of(lzma.compress(b"x")), r"is compressed by xz"),
    "tar": (tarred, r"is a tar archive"),
    "a picture": (lambda path: Image.new("RGB", (3, 3)).save(path, "PNG"), r"is a picture"),
    "a photo": (lambda path: Image.new("RGB", (3, 3)).save(path, "JPEG"), r"is a picture"),
    "a document": (bytes_of(b"%PDF-1.7\n"), r"is a PDF document"),
}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_is_no_file_of_weights_is_called_by_its_name(tmp_path: Path, what: str, name: str) -> None:
    write, message = KINDS[what]
    write(tmp_path / name)
    with pytest.raises(SevisError, match=message.replace(r"a\.pth", re.escape(name))) as caught:
        read_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_what_holds_weights_is_told_apart(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.pth")
    assert is_safetensors(tmp_path / "a.pth")
    for zipping in (True, False):
        torch.save(STATE, tmp_path / "b.safetensors", _use_new_zipfile_serialization=zipping)
        assert not is_safetensors(tmp_path / "b.safetensors")


@pytest.mark.parametrize("length", [0, 1, 10**8 + 1, 2**63, 2**40, 0x120708])
def test_a_header_longer_than_the_file_is_not_believed(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + b'{"a":1}')
    kind = "readable safetensors file" if length == 0x120708 else "file of weights: it begins with the bytes"
    with pytest.raises(SevisError, match=rf"a\.safetensors is no {kind}"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_safetensors_that_are_cut_off_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(save(STATE)[:-8])
    with pytest.raises(SevisError, match=r"a\.pth is no readable safetensors file \(.*\): restore or download it again"):
        read_checkpoint(tmp_path / "a.pth")


def test_the_name_of_a_text_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("red \x1b[31m alarm")
    with pytest.raises(SevisError) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert "\x1b" not in str(caught.value)
