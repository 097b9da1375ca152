"""A shell script as the simple commands that it is made of, with their redirections and pipes. Pure.

The syntax is that of POSIX.1-2017, XCU chapter 2 (Shell Command Language), as far as recipes use it: quotes, escapes,
comments, lists, pipelines, redirections, subshells, command substitution, loops and conditions. Variables stay as they
are written, as only the shell knew their values. A script that is not well formed gives the commands found until there.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

# Tokens in the order in which the alternatives are tried (XCU 2.3). A quote that is not closed is a word of its own, so
# that a broken script ends in odd words and not in an error.
_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r]|\\\n)+)
      | (?P<comment>\#[^\n]*)
      | (?P<redirection>\d*(?:<<-?|<>|<&|<|>>|>\||>&|>)|&>>?)
      | (?P<operator>\$\(|&&|\|\||\|&|;;|[;&|\n()`])
      | (?P<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|\$(?!\()|[^\s;&|<>()'"\\`$]|['"\\])+)
    """,
    re.X | re.S,
)
_REDIRECTION = re.compile(r"(\d*)(\D+)")
_PIECE = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\\n|\\(.)""", re.S)
# Between double quotes a backslash escapes these characters alone (XCU 2.2.3).
_QUOTED_ESCAPE = re.compile(r'\\\n|\\([$`"\\])')

# The shell's reserved words (XCU 2.4), by what they do to groups of commands.
_OPENING = ("{", "if", "while", "until", "for", "case")
_CLOSING = ("}", "fi", "done", "esac")
_JOINING = ("do", "then", "else", "elif", "!")
_OPENING_OR_JOINING = (*_OPENING, *_JOINING)
_SUBSHELL, _SUBSTITUTION, _BACKQUOTE = "(", "$(", "`"
_PARENTHESES = (_SUBSHELL, _SUBSTITUTION, _BACKQUOTE)
MOST_FEEDERS, PATH_MAX = 100, 4096
"""Bounds far above those of a recipe: a script of the tree's must not fill this machine's memory."""


@dataclass(frozen=True)
class SimpleCommand:
    """A simple command of a script (XCU 2.9.1), for example `xargs ld -r -o in.o`.

    `words` have no quotes. `reads` and `writes` are the files of its redirections, `logs` those of descriptors other
    than 0 and 1 (`2>`). `fed_by` are the positions of the script's commands whose output it may get, through a pipe or
    a substitution. `folder` is the folder that the script has changed to, relative to the one in which it began.
    """

    words: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    fed_by: tuple[int, ...] = ()
    folder: str = ""


@dataclass
class _Draft:
    """A command that is being read; `is_loop_head` tells the head of a `for` loop from a command named 'for'."""

    words: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    fed_by: tuple[int, ...] = ()
    is_loop_head: bool = False

    @property
    def empty(self) -> bool:
        return not (self.words or self.reads or self.writes or self.logs)

    def command(self, folder: str) -> SimpleCommand:
        return SimpleCommand(
            words=tuple(self.words),
            reads=tuple(self.reads),
            writes=tuple(self.writes),
            logs=tuple(self.logs),
            fed_by=self.fed_by,
            folder=folder,
        )


def _loop_head(fed_by: tuple[int, ...]) -> _Draft:
    return _Draft(words=["for"], fed_by=fed_by, is_loop_head=True)


@dataclass
class _Group:
    """A compound command or a substitution that is being read (XCU 2.9.4 and 2.6.3).

    `opened` is the token that began it; `first` is the position of its first command; `pipeline`, `fed_by`, `folder`
    and `outer` are the parser's state around it, which comes back at its end.
    """

    opened: str
    first: int
    pipeline: int
    fed_by: tuple[int, ...]
    folder: str
    outer: _Draft


def commands(script: str) -> tuple[SimpleCommand, ...]:
    """Return the simple commands of a script, in the order in which they stand there."""
    parser = _Parser()
    for token in _TOKEN.finditer(script):
        parser.take(token.lastgroup or "", token[0])
    parser.end_command()
    return tuple(parser.found)


def unquoted(word: str) -> str:
    """Return a word without its quotes and escapes (POSIX.1-2017, XCU 2.2)."""
    return _PIECE.sub(_bare, word) if re.search(r"['\"\\]", word) else word


def _bare(piece: re.Match[str]) -> str:
    """Return the text of a quoted piece of a word; an escaped end of line is removed (XCU 2.2.1)."""
    single, double, escaped = piece.groups()
    if double is not None:
        return _QUOTED_ESCAPE.sub(lambda found: found[1] or "", double)
    return single or escaped or ""


def _redirects_to_file(operator: str, name: str) -> bool:
    """Return whether the word after an operator is a file, and neither a here-document's end nor a descriptor."""
    copies_descriptor = operator == ">&" and (name.isdecimal() or name == "-")
    return operator not in ("<<", "<<-", "<&") and not copies_descriptor


class _Parser:
    """The state of a parse: the commands found, the groups that are open, and the command that is being read.

    `pipeline` is the position of the first command of the pipeline that is being read.
    """

    def __init__(self) -> None:
        self.found: list[SimpleCommand] = []
        self.groups: list[_Group] = []
        self.draft = _Draft()
        self.redirection = ""
        self.folder = ""
        self.pipeline = 0

    def take(self, kind: str, text: str) -> None:
        """Take the next token, of a kind that `_TOKEN` names; blanks and comments change nothing."""
        if kind == "word":
            self._word(text)
        elif kind == "redirection":
            self.redirection = text
        elif kind == "operator":
            self._operator(text)

    def end_command(self) -> None:
        """Add the command that was being read, if there is one, and begin the next one."""
        draft, self.draft = self.draft, _Draft(fed_by=self._fed_by)
        if draft.empty:
            return
        self.found.append(draft.command(self.folder))
        self._follow(draft)

    def _follow(self, draft: _Draft) -> None:
        """Apply the effects of a command on those after it: the folder of `cd`, the words of a loop's head."""
        if draft.words[:1] == ["cd"] and len(draft.words) > 1:
            self.folder = posixpath.join(self.folder, draft.words[-1])[:PATH_MAX]
        if draft.is_loop_head:
            self._feed_loop()

    @property
    def _fed_by(self) -> tuple[int, ...]:
        """The positions of the commands that feed the group that is being read."""
        return self.groups[-1].fed_by if self.groups else ()

    def _feed_loop(self) -> None:
        """Let the loop's head, which is the last command found, feed the commands of the loop's body."""
        group = self.groups[-1]
        group.fed_by = (*group.fed_by, len(self.found) - 1)[-MOST_FEEDERS:]
        self.draft.fed_by = self._fed_by

    def _word(self, text: str) -> None:
        if self.redirection:
            self._redirect(unquoted(text))
        elif self._is_reserved(text):
            self._reserved_word(text)
        else:
            self.draft.words.append(unquoted(text))

    def _is_reserved(self, text: str) -> bool:
        """Return whether a word is reserved: only where a command may begin, and a closing one only in a group."""
        begins_command = not self.draft.words
        closes = text in _CLOSING and self._inside(*_OPENING)
        return begins_command and (closes or text in _OPENING_OR_JOINING)

    def _reserved_word(self, text: str) -> None:
        """Open or close a group by a reserved word; the joining ones (`then`, `do`) do neither."""
        if text in _OPENING:
            self._open(text)
        elif text in _CLOSING:
            self._close()

    def _redirect(self, name: str) -> None:
        descriptor, operator = _REDIRECTION.fullmatch(self.redirection).groups()  # type: ignore[union-attr] # a token of it
        self.redirection = ""
        if _redirects_to_file(operator, name):
            self._redirected(descriptor, operator).append(name)

    def _redirected(self, descriptor: str, operator: str) -> list[str]:
        """Return the command's list of files to which the file of a redirection is added."""
        if operator == "<":
            return self.draft.reads
        return self.draft.writes if descriptor in ("", "1") else self.draft.logs

    def _operator(self, text: str) -> None:
        self.redirection = ""
        if self._opens(text):
            self._open(text)
        elif text in (")", _BACKQUOTE):
            self._end_parenthesis()
        elif text in ("|", "|&"):
            self._pipe()
        else:
            self._end_pipeline()

    def _opens(self, text: str) -> bool:
        """Return whether an operator begins a group; a second backquote ends the one that the first began."""
        begins_backquoted = text == _BACKQUOTE and not self._inside(_BACKQUOTE)
        return begins_backquoted or text in (_SUBSHELL, _SUBSTITUTION)

    def _inside(self, *opened: str) -> bool:
        return bool(self.groups) and self.groups[-1].opened in opened

    def _pipe(self) -> None:
        self.end_command()
        self._feed(self.pipeline)

    def _end_pipeline(self) -> None:
        self.end_command()
        self.pipeline = len(self.found)

    def _end_parenthesis(self) -> None:
        if self._inside(*_PARENTHESES):
            self._close()
        else:  # the `)` after a pattern of `case`: the words before it are no command
            self.draft = _Draft(fed_by=self._fed_by)

    def _open(self, opened: str) -> None:
        outer = self.draft
        self.groups.append(_Group(opened, len(self.found), self.pipeline, outer.fed_by, self.folder, outer))
        self.pipeline = len(self.found)
        self.draft = _loop_head(outer.fed_by) if opened == "for" else _Draft(fed_by=outer.fed_by)

    def _close(self) -> None:
        """End a group; its output goes to the command that it is substituted in, or to the redirection after it."""
        self.end_command()
        group = self.groups.pop()
        self.pipeline = group.pipeline
        if group.opened in _PARENTHESES:  # a subshell's `cd` ends with it (XCU 2.12)
            self.folder = group.folder
        substituted = group.opened in (_SUBSTITUTION, _BACKQUOTE)
        self.draft = group.outer if substituted else _Draft(fed_by=group.outer.fed_by)
        self._feed(group.first)

    def _feed(self, first: int) -> None:
        """Let all commands from the position `first` on feed the command that is being read."""
        last = range(max(first, len(self.found) - MOST_FEEDERS), len(self.found))
        self.draft.fed_by = tuple(dict.fromkeys((*self.draft.fed_by, *last)))[-MOST_FEEDERS:]
