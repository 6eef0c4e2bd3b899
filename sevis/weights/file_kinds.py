"""What a file is, by its first bytes, whatever it is called: safetensors, PyTorch's, or something that only bears such a name."""

import codecs
import re
import zipfile
from pathlib import Path

from sevis.errors import SevisError, one_line

HEAD = 4096  # bytes that are looked at
SHOWN = 40  # characters of a text, in the message about it
FETCH = "download the file itself"
UNPACK = "unpack it, and name the file of weights that was in it"
OF_PYTORCH = "find the weights that were saved by PyTorch, or convert these to a state_dict"
# Where the first bytes of a file stand, what they are, what the file is, and the cure.
SIGNS = (
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the weights", f"run git lfs pull in its repository, or {FETCH}"),
    (0, b"\x89HDF\r\n\x1a\n", "is HDF5, as Keras and TensorFlow write it", OF_PYTORCH),
    (0, b"GGUF", "is GGUF, the format of llama.cpp", OF_PYTORCH),
    (4, b"TFL3", "is a model of TensorFlow Lite", OF_PYTORCH),
    (0, b"\x08\x01\x12", "is a model of TensorFlow", OF_PYTORCH),
    (0, b"\x93NUMPY", "is a single array of NumPy's", "save the tensors by name, as torch.save(model.state_dict(), ...) writes them"),
    (0, b"\x1f\x8b", "is compressed by gzip", UNPACK),
    (0, b"BZh", "is compressed by bzip2", UNPACK),
    (0, b"\xfd7zXZ\x00", "is compressed by xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "is compressed by zstd", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "is an archive of 7-Zip", UNPACK),
    (0, b"Rar!", "is a RAR archive", UNPACK),
    (257, b"ustar", "is a tar archive", UNPACK),
    (0, b"\x89PNG", "is a picture", "name the file of weights"),
    (0, b"\xff\xd8\xff", "is a picture", "name the file of weights"),
    (0, b"%PDF", "is a PDF document", FETCH),
)
LONGEST_HEADER = 100_000_000  # bytes of safetensors: their own limit
PICKLE = b"\x80"
ONNX = re.compile(rb"\x08[\x02-\x20][\x12\x1a\x22\x2a\x32\x3a\x42]")  # protobuf: the version of the format, then another of its fields
# What the members of a zip archive tell: a pattern in their names, what the archive is, and the cure.
MEMBERS = (
    (
        r"/constants\.pkl$|/code/",
        "is a TorchScript archive, which holds a program",
        "save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')",
    ),
    (
        r"(^|/)(archive_format|serialized_exported_program\.json)$",
        "is a program of torch.export",
        "save its weights: torch.save(dict(torch.export.load(FILE).state_dict), 'weights.pth')",
    ),
    (r"(^|/)model\.weights\.h5$", "is a model of Keras", OF_PYTORCH),
    (r"\.npy$", "is an archive of NumPy arrays", "save tensors by name, as torch.save(model.state_dict(), ...) writes them"),
)


def is_safetensors(path: Path) -> bool:
    """Return whether a file holds safetensors, rather than what `torch.load` may read.

    Raises:
        SevisError: for what is known to be neither, with the cure.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise SevisError(f"{path} cannot be read ({one_line(error)}): check who may read it") from None
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return True
    for start, sign, what, cure in SIGNS:
        if head.startswith(sign, start):
            raise SevisError(f"{path} {what}: {cure}")
    if ONNX.match(head):
        raise SevisError(f"{path} is an ONNX model, a graph without a module of PyTorch's: save model.state_dict() where it was exported")
    if not head.strip(b"\0"):
        raise SevisError(f"{path} is empty{' but for zeros' if head else ''}: download or save it again")
    _check_text(path, head)
    if head.startswith(b"PK\x03\x04"):
        _check_members(path)
    elif not head.startswith(PICKLE):
        raise SevisError(
            f"{path} is no file of weights: it begins with the bytes {head[:6].hex(' ')}, as neither PyTorch's nor safetensors do: {FETCH}"
        )
    return False


def _check_text(path: Path, head: bytes) -> None:
    """Refuse a file that is text, by what kind of text it is."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).lstrip()  # a character that `head` cuts off is no fault
    except UnicodeDecodeError:
        return
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        return
    if re.match(r"<(!doctype|html|head|body|script|\?xml|error|!--)", text, re.IGNORECASE):
        raise SevisError(f"{path} is a web page, not the weights: {FETCH}, not the page that shows it")
    if '"weight_map"' in text:
        raise SevisError(f"{path} is the index of weights in several files: save them in one, as save_file(model.state_dict(), ...) does")
    shown = "".join(character for character in text.partition("\n")[0] if character.isprintable())[:SHOWN]
    raise SevisError(f"{path} is text, not weights (it begins with {shown!r}): {FETCH}, or name another")


def _check_members(path: Path) -> None:
    """Refuse a zip archive that torch.save did not write, by what is in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return  # damaged: torch.load says how
    for pattern, what, cure in MEMBERS:
        if any(re.search(pattern, name) for name in names):
            raise SevisError(f"{path} {what}: {cure}")
    if not any(name.endswith("data.pkl") for name in names):
        raise SevisError(f"{path} is a zip archive, and not one of PyTorch's: {UNPACK}")
