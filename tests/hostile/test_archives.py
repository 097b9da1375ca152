"""Archives that a stranger made: each is refused in words with the limit's number, or read with a remark."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.trees import sources, tar_headers, tree_archive, unpacking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.trees.facts import TreeFacts

ZEROS = bytes(1 << 20)


def read(archive: bytes, tmp_path: Path, remarks: list[str] | None = None) -> TreeFacts:
    """Return the facts of a tree in an archive, read as `tar:FILE` is."""
    path = tmp_path / "linux.tar"
    path.write_bytes(archive)
    source = sources.open_source(f"tar:{path}", None, lambda _: None)  # type: ignore[arg-type] # needs no engine
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as sink:
        return tree_archive.write(source.members(), sink, (remarks if remarks is not None else []).append)


def entry(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = "",
          size: int | None = None, **pax: str) -> bytes:  # fmt: skip
    """Return a member as it is in an archive; its header tells another size than the content's where one is given."""
    info = tarfile.TarInfo(f"linux/{name}")
    info.type, info.linkname, info.pax_headers = kind, target, pax
    info.size = len(content) if size is None else size
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512)


def archive(*entries: bytes) -> bytes:
    return b"".join(entries) + bytes(1024)


def extended(kind: bytes, content: bytes) -> bytes:
    """Return an extended header."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def bomb(pack: Callable[[bytes], bytes], mebibytes: int) -> bytes:
    """Return a file of zeros, packed: each MiB of it as a stream of its own."""
    head = entry("net/zeros", size=mebibytes << 20)
    return pack(head) + pack(ZEROS) * mebibytes + pack(bytes(1024))


def unwanted(count: int) -> bytes:
    return archive(*(entry(f"drivers/{number}") for number in range(count)))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    # few bytes that unpack to many
    "a bomb of xz": (lambda: bomb(lzma.compress, 80), "unpacks to more than 100 times its size"),
    "a bomb of gzip": (lambda: bomb(gzip.compress, 80), "unpacks to more than 100 times its size"),
    "a bomb of bzip2": (lambda: bomb(bz2.compress, 80), "unpacks to more than 100 times its size"),
    "a bomb within a bomb": (lambda: gzip.compress(bomb(lzma.compress, 80)), "no whole tar archive"),
    "xz with a dictionary of 1 GiB": (
        lambda: lzma.compress(archive(), filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]),
        "more than 256 MiB of memory",
    ),
    # headers
    "a PAX header of a gigabyte": (
        lambda: entry("x", kind=tarfile.XHDTYPE, size=1 << 30), "an extended header of 1073741824 bytes"
    ),
    "a GNU name of a gigabyte": (
        lambda: entry("x", kind=tarfile.GNUTYPE_LONGNAME, size=1 << 30), "an extended header of 1073741824 bytes"
    ),
    "a global header that renames all": (
        lambda: archive(extended(tarfile.XGLTYPE, b"16 path=../../x\n"), entry("a")), "names a path.* for every file"
    ),
    "a record of a PAX header without an end": (
        lambda: archive(extended(tarfile.XHDTYPE, b"99999999 path=x\n"), entry("a")), "a PAX header is damaged"
    ),
    "a record of a PAX header with a number of any length": (
        lambda: archive(extended(tarfile.XHDTYPE, b"9" * 8000), entry("a")), "a PAX header is damaged"
    ),
    "a negative size": (
        lambda: archive(entry("a"))[:124] + b"\xff" * 12 + archive(entry("a"))[136:], "no whole tar archive"
    ),
    "a size that is longer than the archive": (lambda: archive(entry("net/a", size=1 << 20)), "no whole tar archive"),
    # holes
    "a file with holes, as GNU has it": (
        lambda: archive(entry("net/a", kind=tarfile.GNUTYPE_SPARSE)), "a file with holes"
    ),
    "a file with holes, as PAX has it": (
        lambda: archive(extended(tarfile.XHDTYPE, b"22 GNU.sparse.major=1\n"), entry("a")), "a file with holes"
    ),
    # sizes and names
    "a file of a terabyte": (lambda: archive(entry("net/a", size=1 << 40, size_=" ")), "At most 268435456 a file"),
    "a name of 5,000 characters": (lambda: archive(entry("net/" + 5000 * "a")), "255 bytes a name and 4095 a path"),
    "a name of 300 bytes": (lambda: archive(entry("net/" + 100 * "€")), "255 bytes a name"),
    "5,000 folders in each other": (lambda: archive(entry("net/" + 5000 * "a/" + "b")), "too long or too deep"),
    "100 folders in each other": (lambda: archive(entry("net/" + 100 * "a/" + "b")), "At most 64 folders"),
    "a path that leads out": (lambda: archive(entry("net/../../../etc/passwd")), "leads out of it"),
    "an absolute path": (lambda: archive(entry("/etc/passwd")), "leads out of it"),
    # links
    "a hard link to the password file": (
        lambda: archive(entry("net/a", kind=tarfile.LNKTYPE, target="/etc/passwd")), "holds a hard link"
    ),
    "a hard link within the tree": (
        lambda: archive(entry("net/a"), entry("net/b", kind=tarfile.LNKTYPE, target="linux/net/a")), "a hard link"
    ),
    "a file behind a symbolic link": (
        lambda: archive(entry("net/a", kind=tarfile.SYMTYPE, target="/etc"), entry("net/a/passwd")), "a path twice"
    ),
    "a link without a target": (lambda: archive(entry("net/a", kind=tarfile.SYMTYPE)), "no file system takes"),
    "a link whose target has a NUL": (
        lambda: archive(entry("net/a", kind=tarfile.SYMTYPE, target="x", linkpath="a\0b")), "no file system takes"
    ),
    # files that facts are taken from
    "a .gitignore of a megabyte": (lambda: archive(entry("net/.gitignore", b"a" * (1 << 20))), "At most 65536 bytes"),
    "a .gitignore of 10,000 lines": (lambda: archive(entry("net/.gitignore", b"a\n" * 10_000)), "2000 lines"),
    "a Makefile of 5 MiB": (lambda: archive(entry("Makefile", b"A" * (5 << 20))), "At most 4194304 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_archive_beyond_a_limit_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    make, why = REFUSED[case]
    with pytest.raises(UsageError, match=why):
        read(make(), tmp_path)


LIMITS: dict[str, tuple[object, str, int, Callable[[], bytes], str]] = {
    "members": (tar_headers, "HEADERS", 10, lambda: unwanted(11), "more than 10 headers"),
    "bytes": (unpacking, "UNPACKED_BYTES", 1 << 30, lambda: bomb(lambda data: data, 2), "more than 0 GiB"),
    "time": (unpacking, "TIME_S", -1, lambda: unwanted(11), "not unpacked after -1 s"),
    "files": (tree_archive, "MAX_FILES", 1, lambda: archive(entry("a"), entry("b")), "larger than any kernel"),
    "paths": (tree_archive, "PATHS_BYTES", 1, lambda: archive(entry("aa")), "bytes of paths"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_an_archive_beyond_a_limit_that_takes_long_to_reach(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, number, make, why = LIMITS[case]
    monkeypatch.setattr(module, name, number if name != "UNPACKED_BYTES" else 1 << 20)
    with pytest.raises(UsageError, match=why):
        read(make(), tmp_path)


def test_5_000_headers_for_one_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    header = extended(tarfile.XHDTYPE, b"12 path=l/a\n")
    assert read(archive(header * 5000, entry("b")), tmp_path).index.keys() == {"a"}


REMARKS: dict[str, tuple[Callable[[], bytes], str, set[str]]] = {
    "a device": (
        lambda: archive(entry("net/tty", kind=tarfile.CHRTYPE), entry("net/a")),
        "a device is left out of the tree: net/tty",
        {"net/a"},
    ),
    "pipes": (
        lambda: archive(*(entry(f"net/{number}", kind=tarfile.FIFOTYPE) for number in range(9)), entry("net/a")),
        "a pipe is left out of the tree: net/0, net/1, net/2 and 6 more",
        {"net/a"},
    ),
    "a type that there is not": (
        lambda: archive(entry("net/x", kind=b"Z"), entry("net/a")),
        "a member of an unknown type is left out of the tree: net/x",
        {"net/a"},
    ),
    "a link that leads out": (
        lambda: archive(entry("net/a", kind=tarfile.SYMTYPE, target="../../etc/passwd")),
        "a symbolic link leads out of the tree, to the image's files: net/a",
        {"net/a"},
    ),
    "a pointer of LFS": (
        lambda: archive(entry("net/a", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
        "a file is a pointer of Git LFS, not the content that it stands for: net/a",
        {"net/a"},
    ),
    "a name that would steer a terminal": (
        lambda: archive(entry("net/\x1b[2Ja\nb", kind=tarfile.FIFOTYPE)),
        "a pipe is left out of the tree: net/?[2Ja?b",
        set(),
    ),
    "an archive in a tree": (lambda: archive(entry("net/b.tar.xz", bomb(lzma.compress, 80))), "", {"net/b.tar.xz"}),
}  # fmt: skip


@pytest.mark.parametrize("case", REMARKS)
def test_an_archive_with_more_than_files_is_read_and_what_is_left_out_is_said(case: str, tmp_path: Path) -> None:
    make, remark, files = REMARKS[case]
    said: list[str] = []
    assert read(make(), tmp_path, said).index.keys() == files
    assert said == ([remark] if remark else [])


def test_a_link_that_no_engine_unpacks_is_refused(tmp_path: Path) -> None:
    climbing = archive(entry("net/a", kind=tarfile.SYMTYPE, target="../../../etc/passwd"))
    with pytest.raises(UsageError, match=r"'net/a' climbs out of the tree, to '\.\./\.\./\.\./etc/passwd'"):
        read(climbing, tmp_path)
