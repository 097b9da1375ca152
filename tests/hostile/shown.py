"""What a text of ours is to its reader: a terminal, a mail program, a parser of Markdown, XML, HTML or JSON."""

from __future__ import annotations

import email
import email.policy
import json
import re
import unicodedata
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from markdown_it.token import Token

QUOTED = re.compile(r"(>| *\|( |$))")
"""The beginning of a line that quotes a stranger, as a mail or as evidence."""

FORGED = re.compile(r"\s*(verdict: PASS \(1 PASS\)|to reproduce: curl|::[\w-]+.*::|section_start)", re.I)
"""The beginnings of lines that a person, or a CI system that prints them, takes for something else than a name."""

FORGED_MAIL = re.compile(r"\s*(verdict: PASS \(1 PASS\)|Reviewed-by:|From a@b|diff --git|--)", re.I)
"""The beginnings of lines that a program which reads mails takes for a trailer, a mail, a patch or a mail's end."""

COMMANDS = ("##[", "##vso[")
"""What a CI system takes for a command wherever in a line it stands."""

LINKED = re.compile(r"@[a-z]|://|www\.|\b[0-9a-f]{7,40}\b|[#!&%$~][0-9a-z]|\bGH-\d|^/", re.I)
"""What GitHub or GitLab make a link, a mention or a command of, outside of code."""

MAIL_LINE_BYTES = 998
"""The longest line of a mail, RFC 5322, 2.1.1."""


def is_harmless(text: str) -> bool:
    """Return whether each character shows nothing but itself, in a text of lines."""
    return all(one in "\n " or unicodedata.category(one)[0] not in "CZ" for one in set(text))


def lines(text: str) -> list[str]:
    """Return the lines that are ours, not quoted: none of them begins as one of ours, or a command, does."""
    assert is_harmless(text)
    assert not any(command in text for command in COMMANDS)
    ours = [line for line in text.split("\n") if not QUOTED.match(line)]
    assert [line for line in ours if FORGED.match(line)] == []
    return ours


def text(shown: str) -> object:
    return len(lines(shown))


def mail(shown: str) -> object:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content(shown, cte="8bit")
    read = email.message_from_bytes(message.as_bytes(), policy=email.policy.SMTP)
    assert isinstance(read, EmailMessage)
    assert read.get_content().replace("\r\n", "\n") == shown
    assert max(len(line.encode()) for line in shown.splitlines()) <= MAIL_LINE_BYTES
    ours = lines(shown)
    assert [line for line in ours if FORGED_MAIL.match(line)] == []
    return len(ours), sorted(read.keys())


def markdown(shown: str) -> object:
    tokens = list(_flat(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(shown)))
    assert is_harmless(shown)
    for token in tokens:
        if token.type == "text":
            assert not LINKED.search(token.content), token.content
    return [(token.type, token.tag, token.level) for token in tokens if token.content or token.type != "text"]


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def junit(shown: str) -> object:
    assert shown.isprintable() or is_harmless(shown)
    assert shown.startswith("<?xml version='1.0' encoding='utf-8'?>\n")
    return _elements(ET.fromstring(shown.encode()))  # noqa: S314 - what was just rendered


def _elements(element: ET.Element) -> object:
    attributes = sorted(element.attrib)
    assert not any("\n" in value for value in element.attrib.values())
    number = len(lines(element.text)) if element.text and element.text.strip() else 0
    return element.tag, attributes, number, [_elements(child) for child in element]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_pi(self, data: str) -> None:
        self.found.append(("processing instruction", data))


def html(shown: str) -> object:
    assert is_harmless(shown)
    page = _Page()
    page.feed(shown)
    page.close()
    return page.found


def machine(shown: str) -> object:
    """Return the form of a text of JSON: its keys that are ours and the types of its values."""
    assert shown.isascii()
    assert not any(command in shown for command in COMMANDS)
    found = json.loads(shown, parse_constant=_no_constant)
    assert json.loads(json.dumps(found, ensure_ascii=False).encode()) == found
    return _form(found)


def _no_constant(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


def _form(value: Any) -> object:
    if isinstance(value, dict):
        return [_form(one) for one in value.values()]
    return [_form(one) for one in value] if isinstance(value, list) else type(value)


def perfetto(shown: str) -> object:
    """Return the form of trace events; the user interface makes a link of a string that begins as an address does."""
    for one in _strings(json.loads(shown)):
        assert is_harmless(one)
        assert not one.startswith(("http://", "https://"))
    return machine(shown)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value


FORMATS: dict[str, Callable[[str], object]] = {
    "json": machine,
    "junit": junit,
    "mail": mail,
    "markdown": markdown,
    "text": text,
}
VIEWS: dict[str, Callable[[str], object]] = {"perfetto": perfetto, "picture": html, "text": text}
