"""Whatever a stranger writes, nothing but text comes of it: the functions of matrix/untrusted.py and every format."""

from __future__ import annotations

import functools
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matrix import untrusted
from matrix.reports import Report, formats
from tests.hostile import shown
from tests.hostile.foreign_text import BENIGN, EVERYTHING, TEXTS, noun

EXAMPLES = 150
REPORTS = 20
"""Fewer, as a report takes some hundredths of a second."""

PIECES = (
    *("::", "##[", "error", "verdict:", "[/", "`", "|", "\\", "<b>", "@a", "#1", "://"),
    *("\n", "\r\n", " "),
)

# The same examples at every run, so that a failure is of the change that it appears with.
always = functools.partial(settings, derandomize=True, database=None)
any_character = st.characters(exclude_categories=())
words = st.one_of(
    st.text(any_character, max_size=8),
    st.sampled_from(PIECES),
    st.sampled_from(list(TEXTS.values())),
)
texts = st.lists(words, min_size=1, max_size=12).map("".join).filter(bool)

values = st.recursive(
    texts | st.floats() | st.none(), lambda one: st.lists(one) | st.dictionaries(texts, one), max_leaves=20
)


@always(max_examples=EXAMPLES)
@given(texts)
@example(EVERYTHING["line by line"])
def test_a_line_is_one_line_that_steers_nothing(text: str) -> None:
    line = untrusted.one_line(text)
    assert len(shown.lines(f"a {line}")) == len(shown.lines(f"{line} a ") or [line]) == 1
    assert len(line) <= untrusted.LINE_CHARS + 2
    assert untrusted.one_line(line[: untrusted.LINE_CHARS]) == line[: untrusted.LINE_CHARS]
    shown.lines("  " + untrusted.plain(text).replace("\n", "\n  "))


@always(max_examples=EXAMPLES)
@given(texts, texts)
def test_a_message_and_its_hint_are_two_lines_and_quotations(text: str, hint: str) -> None:
    ours = shown.lines(untrusted.message(f"no tree {text}", f"See {hint}"))
    assert [line[:6] for line in ours] == ["no tre", "  See "]


@always(max_examples=EXAMPLES)
@given(texts)
def test_a_code_span_of_markdown_is_one_even_in_a_table(text: str) -> None:
    def row(word: str) -> str:
        code = untrusted.markdown_code(word)
        return f"| {code} | **{code}** |\n|---|---|\n\n# {code}\n\n- a: {code}: {code}\n\n{code}\n"

    assert shown.markdown(row(text)) == shown.markdown(row(BENIGN))


@always(max_examples=EXAMPLES)
@given(texts)
def test_a_line_of_a_mail_is_short_and_no_header(text: str) -> None:
    shown.mail(f"{untrusted.mail_line(f'note: {text}')}\n{untrusted.mail_line(untrusted.mail_beginning(text))}\n")


@always(max_examples=EXAMPLES)
@given(texts)
def test_a_text_of_html_has_no_element(text: str) -> None:
    safe = untrusted.html(text)
    assert shown.html(f"<p title='{safe}' id=\"{safe}\">{safe}</p>") == [("p", ["title", "id"]), "p"]


@always(max_examples=EXAMPLES)
@given(values)
def test_json_is_ascii_and_says_what_can_be_said(value: object) -> None:
    text = untrusted.json_text(value)
    shown.machine(text)
    assert json.loads(text) == untrusted.encodable(value)


@functools.cache
def form_of_harmless_report(name: str) -> object:
    return shown.FORMATS[name](formats.registry()[name].render(noun(Report, BENIGN)))


@pytest.mark.parametrize("name", sorted(shown.FORMATS))
@always(max_examples=REPORTS)
@given(text=texts)
def test_nothing_but_text_comes_through_a_format(name: str, text: str) -> None:
    assert shown.FORMATS[name](formats.registry()[name].render(noun(Report, text))) == form_of_harmless_report(name)
