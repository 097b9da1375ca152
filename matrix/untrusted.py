"""Foreign text, from a cell, a bundle or another machine, made safe to be shown in a terminal and in reports.

One function decides for each place: `one_line` and `plain` for terminals and whatever is printed, `message` and
`quotation` for texts of several lines, `markdown_code`, `html`, `mail_line` and `mail_beginning`, `perfetto_value` and
`json_text` for these formats. A character that would steer a terminal, or that XML 1.0 does not allow, becomes `?` in
all of them but JSON, which has escapes for it.
"""

from __future__ import annotations

import html as _html
import json
import math
import re
from typing import Any

SHOWN = 80
"""The number of characters of a foreign text that a message quotes."""

LINE_CHARS = 5000
"""The number of characters of a foreign line that a report shows: a path of 4,096 bytes (PATH_MAX) and some words."""

MAIL_LINE_BYTES = 990
"""The number of bytes of a mail's line, below the 998 of RFC 5322, 2.1.1."""

QUOTE = "  | "
"""The beginning of a line that a stranger wrote, below a line of ours."""

_OUR_LINE = re.compile(r"\b(verdict|to reproduce):", re.I)
"""The beginnings of a report's last line and of its commands; anywhere, as a table or a terminal folds a long text."""

_WORKFLOW_COMMAND = re.compile(r"^( *):(?=:)|:(?=:[\w-]+(?: [^\n]*?)?::)", re.M)
"""The beginning of a workflow command of GitHub Actions, `::NAME PARAMETERS::`, which stands after nothing but spaces.

`::` is one at a line's beginning, whatever follows, as others may end it; a whole command anywhere, as a table folds.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

_LOGGING_COMMAND = re.compile(r"##(?=\w*\[)")
"""The beginning of a logging command of Azure Pipelines, `##vso[`, or an old one of GitHub Actions, `##[`, in any line.

https://learn.microsoft.com/en-us/azure/devops/pipelines/scripts/logging-commands
"""

_MAIL_KEYWORD = re.compile(r"( *(?:[\w-]+(?=:)|From(?= )|diff(?= )|-(?=-)))")
"""A beginning that programs which read mails obey: of a trailer, a header, a diff, a mail in an mbox, a mail's end."""

_ADDRESS = re.compile("https?:", re.I)

_SURROGATES = re.compile("[\ud800-\udfff]")


def short(text: str) -> str:
    """Return the first SHOWN characters of a foreign text, in one line without control characters."""
    return _cut(one_line(text[: SHOWN + 1]), SHOWN)  # cut first: the text may have megabytes


def one_line(text: str) -> str:
    """Return a foreign text in one line without control characters, so that it cannot forge a line of a report."""
    return _cut(plain(text[: LINE_CHARS + 1], lines=False), LINE_CHARS)


def plain(text: str, *, lines: bool = True) -> str:
    """Return a foreign text with `?` for each character that a terminal may obey, as the ESC of a control sequence.

    A word that a CI system obeys, or that begins the last line of a report, is broken by a `?`. Ends of lines are kept
    with `lines`; without, they become `?` too.
    """
    harmful = {ord(one): "?" for one in set(text) if not _is_harmless(one, lines=lines)}
    harmless = text.translate(harmful)
    return _LOGGING_COMMAND.sub("#?", _WORKFLOW_COMMAND.sub(r"\g<1>?", _OUR_LINE.sub(r"\1?", harmless)))


def message(text: str, hint: str = "") -> str:
    """Return a message and its hint, which may quote strangers: a line after the first of either is a quotation."""
    first, *others = text.splitlines() or [""]
    lines = [one_line(first), *map(_quoted, others)]
    if hint:
        first, *others = hint.splitlines() or [""]
        lines += [f"  {one_line(first)}", *map(_quoted, others)]
    return "\n".join(lines)


def quotation(text: str, most: int, quote: str = QUOTE) -> list[str]:
    """Return the first lines of a foreign text, at most `most`, each of which begins with `quote`."""
    return [f"{quote}{one_line(line)}" for line in text.splitlines()[:most]]


def markdown_code(text: str) -> str:
    """Return a foreign text as a code span of Markdown, in which no forge makes a link, mention or command of a word.

    A span ends at a backtick, and a cell of a table at `|` even in a span: both are replaced by characters alike.
    """
    shown = one_line(text).replace("`", "'").replace("|", "¦")
    return f"`{shown}`" if shown.strip() else "` `"


def html(text: str) -> str:
    """Return a foreign text for an element or an attribute of HTML or SVG; ends of lines are kept."""
    return _html.escape(plain(text))


def perfetto_value(text: str) -> str:
    """Return a foreign text as a value of a trace event: Perfetto makes a link of one that is an address."""
    line = one_line(text)
    return f"({line})" if _ADDRESS.match(line) else line


def mail_line(text: str) -> str:
    """Return a line of ours, which may quote strangers after its beginning, with the length that a mail allows."""
    line = one_line(text)
    return line if len(line.encode()) <= MAIL_LINE_BYTES else f"{_beginning(line, MAIL_LINE_BYTES - 3)}…"


def mail_beginning(text: str) -> str:
    """Return a foreign text for the beginning of a mail's line, which is no header, trailer, diff or signature then."""
    line = one_line(text)
    keyword = _MAIL_KEYWORD.match(line)
    return f"{keyword[1]}?{line[keyword.end() + 1 :]}" if keyword else line


def json_text(value: Any) -> str:
    """Return a value as lines of JSON in ASCII, which is UTF-8 too, none of which is a command of a CI system."""
    text = json.dumps(encodable(value), indent=2, allow_nan=False)
    return _LOGGING_COMMAND.sub(r"#\\u0023", text) + "\n"


def encodable(value: Any) -> Any:
    r"""Return a value of JSON whose strings can be written as UTF-8: a name's other bytes become `\x` and their digits.

    Such bytes are lone surrogates in a string, as os.fsdecode gives them (PEP 383), which UTF-8 cannot encode. A number
    that is none, or infinite, becomes null.
    """
    if isinstance(value, str):
        return _SURROGATES.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", value)
    if isinstance(value, (list, tuple)):
        return [encodable(one) for one in value]
    if isinstance(value, dict):
        return {encodable(key): encodable(one) for key, one in value.items()}
    return None if _is_no_number(value) else value


def _is_no_number(value: Any) -> bool:
    """Return whether a value is an infinity or not a number, for which JSON has no word."""
    return isinstance(value, float) and not math.isfinite(value)


def _is_harmless(character: str, *, lines: bool) -> bool:
    """Return whether a character only shows itself: all but control, format and separator characters and surrogates."""
    if character == "\n":
        return lines
    # False for Unicode's categories C (control, format with its overrides of direction, surrogate, unassigned) and Z
    # (separator) but for a space: https://docs.python.org/3/library/stdtypes.html#str.isprintable
    return character.isprintable()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _beginning(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")


def _quoted(line: str) -> str:
    return f"{QUOTE}{one_line(line.removeprefix('  '))}"
