from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.errors import InfrastructureError, UsageError
from matrix.trees import git, scratch_repository, sources
from matrix.trees.patches import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.trees.sources import Source

ROOT = Path(__file__).parents[3]
STRANGER = 1234
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def theirs(at: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Run git as the user does, with the user's own configuration."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    argv, variables = ["git", *identity, *words], {**os.environ, **(env or {})}
    done = subprocess.run(argv, cwd=at, check=True, capture_output=True, text=True, env=variables)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of the user's with two commits, `v1` and the newest."""
    path = tmp_path / "linux"
    path.mkdir()
    theirs(path, "init", "-q")
    for version in ("7\n", "8\n"):
        (path / "Makefile").write_text(version)
        theirs(path, "add", "-A")
        theirs(path, "commit", "-qm", version)
    theirs(path, "tag", "v1", "HEAD~1")
    return path


def opened(text: str) -> Source:
    return sources.open_source(text, None, lambda _: None)  # type: ignore[arg-type] # no engine is needed


def content(text: str) -> dict[str, bytes | str]:
    return {one.path: one.target or one.read() for one in opened(text).members()}


def owned_by_a_stranger(path: Path) -> Path:
    for one in (path, *path.rglob("*")):
        os.chown(one, STRANGER, STRANGER, follow_symlinks=False)
    return path


# Called from a hook.


def test_in_a_hook_the_repository_that_is_named_is_read_and_not_the_hooks_own(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    theirs(other, "init", "-q")
    (other / "theirs").write_text("")
    theirs(other, "add", "-A")
    said = tmp_path / "said"
    code = (
        "from pathlib import Path\n"
        "from matrix.trees import git, sources\n"
        f"for text in ('git:{repository}@v1', 'dir:{repository}'):\n"
        "    source = sources.open_source(text, None, print)\n"
        "    print([(one.path, one.read()) for one in source.members()])\n"
        f"print(git.commit(Path('{repository}'), 'v1'))\n"
    )
    (tmp_path / "code.py").write_text(code)
    hook = other / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'code.py'} > {said} 2>&1\n")
    hook.chmod(0o755)
    theirs(other, f"--git-dir={other / '.git'}", "commit", "-qm", "one", env={"PYTHONPATH": str(ROOT)})
    commit = theirs(repository, "rev-parse", "v1")
    assert said.read_text().splitlines() == ["[('Makefile', b'7\\n')]", "[('Makefile', b'8\\n')]", commit]


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_WORK_TREE"]
)
def test_no_variable_of_a_hook_is_believed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    assert content(f"git:{repository}@v1") == {"Makefile": b"7\n"}
    assert content(f"dir:{repository}") == {"Makefile": b"8\n"}


def test_in_a_hook_a_tree_is_made_a_commit_and_patches_are_applied(
    repository: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(places / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(places / "nowhere"))
    scratch, base = scratch_repository.of_repository(repository, "v1")
    diff = b"diff --git a/Makefile b/Makefile\n--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-7\n+9\n"
    (made,), refused = scratch.apply(base, [Patch(1, "s", "a", "e", "", "", diff)])
    assert refused is None
    assert scratch.read(made, "Makefile") == "9\n"


# Repositories of another owner, and of other kinds.


@needs_root
def test_a_repository_of_another_owner_is_read(repository: Path, places: Path) -> None:
    del places
    (repository / ".gitignore").write_text("*.o\n")
    (repository / "built.o").write_text("")
    owned_by_a_stranger(repository)
    assert content(f"git:{repository}@v1") == {"Makefile": b"7\n"}
    assert content(f"dir:{repository}").keys() == {".gitignore", "Makefile"}
    scratch, base = scratch_repository.of_repository(repository, "v1")
    assert scratch.read(base, "Makefile") == "7\n"


@needs_root
def test_a_bare_repository_of_another_owner_is_read(repository: Path, tmp_path: Path) -> None:
    theirs(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    owned_by_a_stranger(tmp_path / "bare.git")
    assert content(f"git:{tmp_path / 'bare.git'}@v1") == {"Makefile": b"7\n"}


def test_a_worktree_is_read(repository: Path, tmp_path: Path, places: Path) -> None:
    del places
    theirs(repository, "worktree", "add", "-q", str(tmp_path / "work"), "v1")
    assert content(f"git:{tmp_path / 'work'}") == content(f"dir:{tmp_path / 'work'}") == {"Makefile": b"7\n"}
    scratch, base = scratch_repository.of_repository(tmp_path / "work", "HEAD")
    assert scratch.read(base, "Makefile") == "7\n"


def test_a_shallow_clone_is_read_and_what_it_lacks_is_said(repository: Path, tmp_path: Path) -> None:
    theirs(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    assert content(f"git:{tmp_path / 'shallow'}") == {"Makefile": b"8\n"}
    with pytest.raises(UsageError, match=r"(?s)no revision 'HEAD~1'.*The clone is shallow.*--unshallow"):
        content(f"git:{tmp_path / 'shallow'}@HEAD~1")


def test_a_series_on_a_shallow_clone_is_bisected(repository: Path, tmp_path: Path, places: Path) -> None:
    theirs(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    scratch, base = scratch_repository.of_repository(tmp_path / "shallow", "HEAD")
    changes = [(8, 9), (9, 10), (10, 11)]
    diffs = [f"--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-{old}\n+{new}\n".encode() for old, new in changes]
    made, refused = scratch.apply(base, [Patch(n, "s", "a", "e", "", "", diff) for n, diff in enumerate(diffs)])
    assert refused is None
    folder = scratch_repository.bisecting(scratch, places / "bisect.git")
    git.run(folder, "update-ref", "HEAD", made[-1])
    git.run(folder, "bisect", "start", "--no-checkout", made[-1], base)
    git.run(folder, "bisect", "run", "sh", "-c", "! git show BISECT_HEAD:Makefile | grep -q 1")
    assert git.commit(folder, "refs/bisect/bad") == made[1]


def test_a_partial_clone_fetches_nothing_and_says_how_it_is_made_whole(repository: Path, tmp_path: Path) -> None:
    theirs(repository, "config", "uploadpack.allowFilter", "true")
    theirs(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{repository}", "partial")
    partial = tmp_path / "partial"
    theirs(partial, "config", "remote.origin.uploadpack", f"touch {tmp_path / 'ran'}; git-upload-pack")
    with pytest.raises(UsageError, match=r"(?s)promisor remote.*git -C \S+ fetch --refetch --no-filter"):
        content(f"git:{partial}")
    assert not (tmp_path / "ran").exists()


def test_a_folder_below_the_top_is_the_tree_that_is_below_it(tmp_path: Path) -> None:
    theirs(tmp_path, "init", "-q")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Makefile").write_text(name)
    theirs(tmp_path, "add", "-A")
    theirs(tmp_path, "commit", "-qm", "one")
    assert content(f"git:{tmp_path / 'one'}") == {"Makefile": b"one"}
    assert content(f"git:{tmp_path / 'two'}") == {"Makefile": b"two"}
    assert opened(f"git:{tmp_path / 'one'}").fixed != opened(f"git:{tmp_path / 'two'}").fixed


# The commit's own content, and no program of anybody's.


def test_neither_attributes_nor_configuration_change_a_commits_content(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(
        f'[core]\n\tautocrlf = true\n[filter "evil"]\n\tsmudge = "touch {ran}; cat"\n\trequired = true\n'
    )
    attributes = "left-out export-ignore\nsubst export-subst\nsmudged filter=evil\ntext text=auto\n"
    files = {".gitattributes": attributes, "left-out": "1\n", "subst": "$Format:%H$\n", "smudged": "2\n", "text": "3\n"}
    for name, text in files.items():
        (repository / name).write_text(text)
    theirs(repository, "add", "-A")
    theirs(repository, "commit", "-qm", "three")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    theirs(repository, "config", "filter.evil.smudge", f"touch {ran}; cat")
    theirs(repository, "config", "core.autocrlf", "true")
    assert content(f"git:{repository}") == {"Makefile": b"8\n", **{name: text.encode() for name, text in files.items()}}
    assert not ran.exists()


def test_a_replaced_object_is_not_the_commits(repository: Path) -> None:
    old, new = (theirs(repository, "rev-parse", f"{revision}:Makefile") for revision in ("v1", "HEAD"))
    theirs(repository, "replace", old, new)
    assert content(f"git:{repository}@v1") == {"Makefile": b"7\n"}


def test_a_folders_own_fsmonitor_is_not_run(repository: Path, tmp_path: Path) -> None:
    program = tmp_path / "fsmonitor"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    theirs(repository, "config", "core.fsmonitor", str(program))
    assert content(f"dir:{repository}") == {"Makefile": b"8\n"}
    assert not (tmp_path / "ran").exists()


def test_a_tree_that_is_a_repository_itself_does_not_run_its_fsmonitor(repository: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (repository / ".git").rename(tree)
    theirs(tree, "config", "core.worktree", str(tree))
    theirs(tree, "config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false")
    assert content(f"dir:{tree}").keys() >= {"HEAD", "config"}
    assert not (tmp_path / "ran").exists()


def test_a_file_behind_a_link_is_not_the_trees(repository: Path, tmp_path: Path) -> None:
    (repository / "sub").mkdir()
    (repository / "sub/secret").write_text("")
    (repository / ".gitignore").write_text("sub\n")
    theirs(repository, "add", "-f", "-A")
    (repository / "sub/secret").unlink()
    (repository / "sub").rmdir()
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("of the host")
    (repository / "sub").symlink_to(tmp_path / "host")
    assert content(f"dir:{repository}").keys() == {".gitignore", "Makefile"}


# A git that fails, in its own words.


def test_an_object_that_is_damaged_is_told_in_gits_words(repository: Path) -> None:
    blob = theirs(repository, "rev-parse", "v1:Makefile")
    path = repository / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(UsageError, match=r"git cat-file failed in .*: error: inflate"):
        content(f"git:{repository}@v1")


def test_an_object_that_is_missing_is_named(repository: Path) -> None:
    blob = theirs(repository, "rev-parse", "v1:Makefile")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError, match=f"object {blob} is missing"):
        content(f"git:{repository}@v1")


@pytest.mark.parametrize("scheme", ["git", "dir"])
def test_a_repository_that_git_cannot_read_is_told_in_gits_words(repository: Path, scheme: str) -> None:
    (repository / ".git/config").write_text("[core\n")
    with pytest.raises(UsageError, match="bad config line 1 in file"):
        content(f"{scheme}:{repository}")


def test_without_git_a_folder_that_is_no_checkout_is_taken_whole(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/Makefile").write_text("1")
    monkeypatch.setenv("PATH", "/nowhere")
    assert content(f"dir:{tmp_path / 'plain'}") == {"Makefile": b"1"}
    with pytest.raises(UsageError, match="git could not be run"):
        content(f"dir:{repository}")


def test_a_git_that_is_no_longer_wanted_is_ended(repository: Path) -> None:
    with pytest.raises(KeyError), git.streaming(repository, "cat-file", "--batch") as process:
        raise KeyError
    assert process.returncode is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [(("cat-file", "--no-such"), "error: unknown option"), (("cat-file", "--batch"), "its output ended")],
)
def test_what_git_says_of_a_stream_that_broke_is_the_error(repository: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=f"git cat-file failed in .*: {said}"), git.streaming(repository, *words):
        raise EOFError("its output ended")


def test_the_configuration_of_ours_is_a_file_that_is_there() -> None:
    assert Path(git.environment()["GIT_CONFIG_GLOBAL"]).is_file()


@pytest.mark.parametrize("how", ["kill -9 $$", "kill -15 $$"])
def test_a_git_that_was_killed_gave_no_answer(
    repository: Path, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder inside of a checkout would be taken for no checkout otherwise, and read with all that git ignores."""
    inside = repository / "tools"
    inside.mkdir(exist_ok=True)
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\n{how}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InfrastructureError, match="git was killed by SIG"):
        git.attempt(inside, "ls-files")
    with pytest.raises(InfrastructureError, match="git was killed by SIG"), git.streaming(inside, "ls-files"):
        pass
