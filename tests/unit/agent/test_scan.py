from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.unit.agent.running import command, run


def test_files_links_and_folders_are_told_with_their_facts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir(mode=0o750)
    (tmp_path / "sub/file").write_bytes(b"content")
    (tmp_path / "sub/file").chmod(0o4755)
    os.utime(tmp_path / "sub/file", ns=(1, 1234567890123456789))
    (tmp_path / "broken").symlink_to("/no/where")
    (tmp_path / "link").symlink_to("sub")
    files = run(roots={"output": str(tmp_path)}).files
    assert files.keys() == {"sub", "sub/file", "broken", "link"}
    assert files["sub/file"] == {
        "type": "file",
        "mode": 0o4755,
        "size": 7,
        "mtime_ns": 1234567890123456789,
        "ctime_ns": (tmp_path / "sub/file").stat().st_ctime_ns,
        "ino": (tmp_path / "sub/file").stat().st_ino,
        "content": hashlib.sha256(b"content").hexdigest(),
    }
    assert (files["sub"]["type"], files["sub"]["mode"], files["sub"]["content"]) == ("directory", 0o750, "")
    assert (files["broken"]["type"], files["broken"]["content"]) == ("symlink", "/no/where")
    assert (files["link"]["type"], files["link"]["content"]) == ("symlink", "sub")


def test_what_is_no_file_is_told_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(tmp_path / "socket"))
    files = run(roots={"output": str(tmp_path)}).files
    assert {path: facts["type"] for path, facts in files.items()} == {"pipe": "special", "socket": "special"}


def test_a_file_of_the_lower_layer_that_was_removed_is_a_whiteout(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "gone", 0o20000, os.makedev(0, 0))
    except PermissionError:
        pytest.skip("only root makes devices")
    folder = str(tmp_path)
    assert run(roots={"source": folder}, merged=folder).files["gone"]["type"] == "whiteout"
    assert run(roots={"output": folder}).files["gone"]["type"] == "special"


@pytest.mark.parametrize("name", [b"a b", b"new\nline", b'"', b"caf\xe9", "ä\u202e".encode(), b"\x1b[31m", b"-x"])
def test_any_name_is_told(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_text("")
    assert list(run(roots={"output": str(tmp_path)}).files) == [os.fsdecode(name)]


def test_an_empty_folder_and_one_that_is_not_there_have_no_files(tmp_path: Path) -> None:
    said = run(roots={"output": str(tmp_path), "source": str(tmp_path / "nowhere")})
    assert said.files == {}
    assert said.records[-1][0] == "end"


def test_files_come_sorted_and_by_their_root(tmp_path: Path) -> None:
    for name in ("source/b", "source/a", "output/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    said = run(roots={"source": str(tmp_path / "source"), "output": str(tmp_path / "output")})
    assert [(root, path) for root, path, _ in said.all("file")] == [("output", "c"), ("source", "a"), ("source", "b")]


def test_the_folders_that_a_step_wrote_to_are_listed_as_the_cell_sees_them(tmp_path: Path) -> None:
    for name in ("upper/tools/new", "merged/tools/new", "merged/tools/old", "merged/Makefile", "merged/other/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    said = run(roots={"source": str(tmp_path / "upper")}, merged=str(tmp_path / "merged"))
    assert said.all("listing") == [[".", ["Makefile", "other", "tools"]], ["tools", ["new", "old"]]]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    (tmp_path / "upper/gone").mkdir(parents=True)
    (tmp_path / "merged").mkdir()
    said = run(roots={"source": str(tmp_path / "upper")}, merged=str(tmp_path / "merged"))
    [[path, problem]] = said.all("unreadable")
    assert path == str(tmp_path / "merged/gone")
    assert "No such file" in problem


def test_folders_are_made_before_anything_is_run(tmp_path: Path) -> None:
    home = tmp_path / "a/home"
    said = run(command("ls", "-d", str(home)), folders=[str(home), str(tmp_path)])
    assert said.commands[0]["exit_status"] == 0


def test_a_touched_file_is_newer_and_otherwise_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.c"
    path.write_text("x")
    os.utime(path, (1, 1))
    run(touch=[str(path)])
    assert path.stat().st_mtime > 1
    assert path.read_text() == "x"


MENTIONING = r"""
cmd_util/a.o := gcc -c -o util/a.o util/evsel.c
source := util/evsel.c
deps := util/evsel.c \
  /src/tools/perf/util/evsel.c \
  $(wildcard include/config/x) xevsel.c evsel.cc evsel.c.h
util/a.o: (util/../util/evsel.c)
"""


def test_command_files_that_mention_a_touched_file_are_told_with_the_words(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "util").mkdir(parents=True)
    (source / "util/evsel.c").write_text("")
    (source / "util/.a.o.cmd").write_text(MENTIONING)
    (source / "util/.b.o.cmd").write_text("util/b.c evsel.cpp")
    (source / "util/a.d").write_text("util/evsel.c")
    said = run(touch=[str(source / "util/evsel.c")], roots={"source": str(source)})
    [[root, path, words]] = said.all("mention")
    assert (root, path) == ("source", "util/.a.o.cmd")
    assert {"util/evsel.c", "/src/tools/perf/util/evsel.c", "util/../util/evsel.c"} <= set(words)
    assert not {"evsel.cc", "evsel.c.h"} & set(words)


def test_what_is_mentioned_is_what_was_there_before_the_commands(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("")
    (tmp_path / ".a.o.cmd").write_text("a.c")
    said = run(
        command("rm", str(tmp_path / ".a.o.cmd")), touch=[str(tmp_path / "a.c")], roots={"output": str(tmp_path)}
    )
    assert said.all("mention") == [["output", ".a.o.cmd", ["a.c"]]]
    assert ".a.o.cmd" not in said.files


def test_the_limits_that_a_step_hit_are_counted_from_its_beginning() -> None:
    [[hit]] = run(command("true")).all("end")
    assert hit == {"oom_kills": 0, "fork_failures": 0}


def test_free_space_is_told_of_a_command_that_takes_its_time(tmp_path: Path) -> None:
    said = run(command("sleep", "0.6"), roots={"output": str(tmp_path), "source": str(tmp_path / "nowhere")})
    assert said.commands[0]["free_bytes"] > 0


def test_command_files_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("")
    os.mkfifo(tmp_path / ".fifo.cmd")
    (tmp_path / ".folder.cmd").mkdir()
    (tmp_path / ".broken.cmd").symlink_to("none")
    said = run(touch=[str(tmp_path / "a.c")], roots={"output": str(tmp_path)})
    assert said.status == 0
    assert said.all("mention") == []


def test_a_long_word_of_a_command_file_is_looked_through_once(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("")
    (tmp_path / ".long.cmd").write_text("a.ca.c" * 150_000 + "x")
    (tmp_path / ".end.cmd").write_text("x" * 900_000 + "/a.c,y a.c.c")
    said = run(touch=[str(tmp_path / "a.c")], roots={"output": str(tmp_path)})
    [[_, path, words]] = said.all("mention")
    assert (path, [len(word) for word in words], words[0][-5:]) == (".end.cmd", [900_004], "x/a.c")


def test_a_sparse_file_that_no_cell_has_space_for_is_unreadable(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(9 << 30)
    said = run(roots={"output": str(tmp_path)})
    [[path, problem]] = said.all("unreadable")
    assert (path, problem) == (str(tmp_path / "sparse"), f"larger than {8 << 30} bytes: {tmp_path / 'sparse'}")


def test_folders_as_deep_as_a_path_is_long_are_told(tmp_path: Path) -> None:
    depth = (4000 - len(str(tmp_path))) // 2
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    said = run(roots={"output": str(tmp_path)})
    assert said.status == 0, said.log
    assert len(said.files) == depth
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own removal recurses too deep


def test_a_time_that_was_put_back_is_seen(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    before = run(roots={"output": str(tmp_path)}).files["file"]
    os.utime(tmp_path / "file", ns=(before["mtime_ns"], before["mtime_ns"]))
    after = run(roots={"output": str(tmp_path)}).files["file"]
    assert {key for key in before if before[key] != after[key]} == {"ctime_ns"}
