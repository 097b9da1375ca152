"""The only module that calls git: its environment and configuration are our own, so that no repository runs a program.

Repositories may be a stranger's, and git runs programs that a repository's configuration names.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from matrix.credentials import without_credentials
from matrix.errors import InfrastructureError, UsageError, from_system
from matrix.trees import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEMORY_BYTES = 2 << 30
"""The address space of a git that reads a stranger's input (`bounded`)."""

OUTPUT_BYTES = 64 << 20
"""The longest output of a git that is read at once, as a list of files, one file or a series' patches.

7.3's list of files has 9 MB, its largest file 24 MB. A few folders that hold each other tenfold make any length.
"""

SHOWN_CHARS = 2000
"""The end of git's messages that an error quotes."""

TIME_S = 600
"""The longest time that a git runs, in seconds: to pack a whole kernel tree takes one or two minutes."""

_ENVIRONMENT = {
    # The user's and the system's configuration would change results from machine to machine.
    "GIT_CONFIG_GLOBAL": str(Path(__file__).with_name("gitconfig")),
    "GIT_CONFIG_NOSYSTEM": "1",
    # The same patches on the same base must make the same commits, whoever applies them.
    "GIT_AUTHOR_NAME": "perf-matrix",
    "GIT_AUTHOR_EMAIL": "perf-matrix",
    "GIT_COMMITTER_NAME": "perf-matrix",
    "GIT_COMMITTER_EMAIL": "perf-matrix",
    # A question for a password would wait for ever below a progress display.
    "GIT_TERMINAL_PROMPT": "0",
    # A commit's content is its own: https://git-scm.com/docs/git-replace would put another in its place.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would fetch what it lacks, with the programs that its configuration names (core.sshCommand,
    # remote.NAME.uploadpack, credential.helper). The first variable is new in git 2.45, the second stops older ones:
    # https://git-scm.com/docs/git#Documentation/git.txt-codeGITNOLAZYFETCHcode
    # https://git-scm.com/docs/git#Documentation/git.txt-codeGITALLOWPROTOCOLcode
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    # Messages are searched for words of git's own.
    "LC_ALL": "C",
}

_OVERRIDES = {
    # A repository's own configuration is always read; by these keys of it our commands would run a program.
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "log.showSignature": "false",
    # The same folder is the same tree for every user: only its own files say what is ignored.
    "core.excludesFile": os.devnull,
}

# git says so where an object is missing that a partial clone has left out.
_PARTIAL_CLONE = "promisor remote"
_SLOW = "Is its repository on a slow or absent file system? Else what it reads is made to take long."
_NO_GIT = "Install git, or use dir: or tar:."
_FROM_OUTSIDE = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
"""The signals that end git from outside, as the kernel does where memory is short; none is what a repository causes."""


def command(folder: Path, *words: str) -> list[str]:
    """Return the command line that runs git in a folder, with our configuration over the repository's."""
    overrides = [word for key, value in _OVERRIDES.items() for word in ("-c", f"{key}={value}")]
    return ["git", "-C", str(folder), *overrides, *words]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with our own variables, and `more`, in place of all variables of git's.

    git sets GIT_DIR, GIT_INDEX_FILE and others for its hooks and for `git bisect run` (githooks(5)); they would win
    over the folder of `command`.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**inherited, **_ENVIRONMENT, **(more or {})}


def attempt(
    folder: Path, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, with the variables `env` on top of our own; return its exit status and output.

    Raises:
        UsageError: git is not installed, or prints more than OUTPUT_BYTES.

    """
    return _ended(command(folder, *words), stdin, env)


def bounded(
    folder: Path, *words: str, stdin: bytes, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git as `attempt` does, on a stranger's input: git fails where it needs more than MEMORY_BYTES."""
    # `preexec_fn` with setrlimit is not safe beside threads, so a shell sets the limit, which it takes in KiB.
    limited = ["sh", "-c", 'ulimit -v "$0" && exec "$@"', str(MEMORY_BYTES >> 10), *command(folder, *words)]
    return _ended(limited, stdin, env)


def _ended(argv: list[str], stdin: bytes, env: Mapping[str, str] | None) -> subprocess.CompletedProcess[bytes]:
    try:
        done = programs.run(argv, most_bytes=OUTPUT_BYTES, time_s=TIME_S, stdin=stdin, env=environment(env))
    except OSError as error:
        raise from_system(f"git could not be run: {error}", _NO_GIT, error) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"git did not end within {TIME_S} s: {shlex.join(argv)[-300:]}", _SLOW) from error
    except programs.TooMuchOutputError as error:
        told = f"git printed more than {OUTPUT_BYTES >> 20} MiB: {shlex.join(argv)[-300:]}"
        raise UsageError(told, "Is its repository that of a kernel?") from error
    # Callers take a failure for an answer, as that a folder is no checkout; a git that was killed gave none.
    if -done.returncode in _FROM_OUTSIDE:
        raise _killed(done.returncode)
    return done


def _killed(status: int) -> InfrastructureError:
    name = signal.Signals(-status).name
    return InfrastructureError(f"git was killed by {name}", "Is the machine short of memory? Do the command again.")


def run_bounded(folder: Path, *words: str, stdin: bytes) -> bytes:
    """Run git in a folder on a stranger's input (`bounded`), and return its output.

    Raises:
        UsageError: git is not installed, failed or printed too much; the message has git's own words.

    """
    done = bounded(folder, *words, stdin=stdin)
    if done.returncode:
        raise _failure(folder, words, done.stderr)
    return done.stdout


def run(folder: Path, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run git in a folder and return its output.

    Raises:
        UsageError: git is not installed, failed or printed too much; the message has git's own words.

    """
    done = attempt(folder, *words, stdin=stdin, env=env)
    if done.returncode:
        raise _failure(folder, words, done.stderr)
    return done.stdout


@contextlib.contextmanager
def streaming(folder: Path, *words: str, stdin: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run git in a folder while the body of a `with` reads its output and, without `stdin`, writes its input.

    An EOFError or BrokenPipeError of the body means that git has ended, so git's error is raised in its place; any
    other error of the body kills git.

    Raises:
        UsageError: git is not installed, failed or printed too much; the message has git's own words.

    """
    # Errors go to a file, as a pipe that nobody reads would stop git once it is full.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command(folder, *words),
                stdin=stdin or subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment(),
            )
        except OSError as error:
            raise from_system(f"git could not be run: {error}", _NO_GIT, error) from error
        lost: Exception | None = None
        end = threading.Timer(TIME_S, process.kill)
        end.start()
        try:
            yield process
        except (EOFError, BrokenPipeError) as error:
            lost = error
        except BaseException:
            process.kill()
            raise
        finally:
            _close(process)
            end.cancel()
        if -process.returncode in _FROM_OUTSIDE:
            raise _killed(process.returncode)
        if process.returncode or lost:
            said.seek(0)
            raise _failure(folder, words, said.read(programs.ERROR_BYTES) or str(lost).encode()) from lost


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close a process's pipes, so that it cannot wait for the body any more, and wait for its end."""
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):  # its status tells why it ended
                pipe.close()
    process.wait()


def _failure(folder: Path, words: tuple[str, ...], stderr: bytes) -> UsageError:
    # git names a remote by its address, which may have a password.
    message = without_credentials(stderr.decode(errors="replace").strip()[-SHOWN_CHARS:])
    fetch = f"Fetch the objects that this partial clone lacks: git -C {folder} fetch --refetch --no-filter"
    hint = fetch if _PARTIAL_CLONE in message else ""
    return UsageError(f"git {_subcommand(words)} failed in {folder}: {message}", hint)


def _subcommand(words: tuple[str, ...]) -> str:
    """Return git's subcommand among the words after `git`, which may begin with `-c KEY=VALUE`."""
    return words[2] if words[0] == "-c" else words[0]


def find(folder: Path, revision: str) -> str:
    """Return the full name (40 or 64 hex digits) of the commit that a revision means, or nothing for no commit."""
    done = _verified(folder, revision)
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def _verified(folder: Path, revision: str) -> subprocess.CompletedProcess[bytes]:
    # `--end-of-options`: a revision that begins with `-` is none of git's options. `^{commit}`: a tag is followed.
    return attempt(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def commit(folder: Path, revision: str) -> str:
    """Return the full name of the commit that a revision means.

    Raises:
        UsageError: there is no such commit, or no repository that git can read; the message has git's own words.

    """
    done = _verified(folder, revision)
    if done.returncode == 0:
        return done.stdout.decode().strip()
    opened = attempt(folder, "rev-parse", "--is-shallow-repository")
    if opened.returncode:
        said = opened.stderr.decode(errors="replace").strip()
        hint = "Name one: --repo PATH, or git:PATH@REV for a tree."
        raise UsageError(f"{folder} is no git repository that can be read: {said}", hint)
    hint = "`git log` in that folder lists the commits."
    if opened.stdout.strip() == b"true":
        hint += " The clone is shallow: `git fetch --unshallow` there gets the rest."
    said = done.stderr.decode(errors="replace").strip().removeprefix("fatal: Needed a single revision")
    raise UsageError(f"there is no revision {revision!r} in {folder}" + (f": {said}" if said else ""), hint)
