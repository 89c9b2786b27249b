"""Turn a question into a full-text expression.

Notable choices:
- Words are joined by OR: BM25 ranks by how many of the rare ones a passage has. Joined by AND, most
  natural questions would match nothing.
- Words that follow one another are searched for as a phrase, too: "operating income" is rarer than
  either word, and the label of a table's row.
- Words of the question form itself ("what", "did", "answer in percent") are dropped: they are rare
  enough in reports to win.
- Every word is quoted, so nothing that a user types is read as FTS5 syntax.
- A fiscal year is searched as a plain year too: "FY2022", "FY22" -> 2022. A figure and an
  abbreviation are one word, and phrases of the index: "34,229", "U.S.".
- Scripts without blanks between words are searched for by the pieces that the index has of them;
  pieces of Japanese particles and endings (Hiragana) are dropped like stop words.
- One letter or digit counts if it is a digit or a capital: "Note 4", "vitamin C". So does a stop
  word in capitals among words that are not: "the WHO".

Stemming is the index's business (porter). Stop words are English; other languages lose only them.
"""

from __future__ import annotations

import re

from sharedcli.retrieve.vocabulary import document_phrases
from sharedcli.store.fulltext import quote_term
from sharedcli.store.ngrams import HIRAGANA, SOUTH_EAST_ASIAN, unspaced, with_ngrams

MAX_TERMS = 64
"""Words and phrases in one expression at most; a pasted page must not become one huge query."""

_MARKS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""Accents, vowel points, Indic vowel signs: parts of a word, which Python's ``\\w`` ends there."""
_LETTER = rf"[\w{_MARKS}{SOUTH_EAST_ASIAN}]"
_WORD = re.compile(rf"\d+(?:[.,]\d+)+|(?<!\w)(?:[^\W\d_]\.){{2,}}|{_LETTER}+(?:[&'’]{_LETTER}+)*")
_PARTICLES = re.compile(rf"[{HIRAGANA}]+")
_WHEN = re.compile(
    r"(?:19|20)\d\d|fy'?(?:20)?\d\d|fiscal|(?:half-?)?years?|quarter(?:ly|s)?|half|months?|ended|ending"
    r"|first|second|third|fourth|last",
    re.IGNORECASE,
)
"""Words of when, not of what: a report says "in the fourth quarter" of everything."""
_FISCAL_YEAR = re.compile(r"fy'?(?:20)?(\d\d)")
_STOP_TEXT = """
a about above after again against all also am an and any are as at be because been before being
below between both but by can cannot could did do does doing down during each few for from further
had has have having he her here hers him his how i if in into is it its itself just me more most
much many my no nor not now of off on once only or other our ours out over own per percent
percentage please same she should so some such than that the their them then there these they this
those through to too under until up us very was we were what when where which while who whom whose
why will with would you your yours answer base based give given primarily provided question
respond response round state using
"""
_STOP_WORDS = frozenset(_STOP_TEXT.split())


def query_terms(question: str) -> list[str]:
    """Return the question's words in lower case, without stop words and repetition, in order.

    A question of stop words alone keeps them.
    """
    shouted = question.isupper()
    words = _words(question)
    chosen = [_plain(word) for word in words if _tells(word, shouted)] or [*map(_plain, words)]
    years = [f"20{year[1]}" for word in chosen if (year := _FISCAL_YEAR.fullmatch(word))]
    return list(dict.fromkeys(chosen + years))


def capitalised_terms(question: str) -> list[str]:
    """Those of ``query_terms`` that are written with a capital, as names are."""
    written = {_plain(word) for word in _words(question) if word[0].isupper()}
    return [term for term in query_terms(question) if term in written]


def _phrases(question: str) -> list[str]:
    """Its words that follow one another with nothing but blanks, and no stop word, between.

    What comes after the question's mark says how to answer ("from the cash flow statement").
    """
    text, shouted = with_ngrams(question.lstrip("?").partition("?")[0]), question.isupper()
    runs: list[list[str]] = [[]]
    end = 0
    for found in _WORD.finditer(text):
        word, between = found.group(), text[end : found.start()].strip()
        tells = _tells(word, shouted) and not unspaced(word) and not _WHEN.fullmatch(word)
        if between or not tells:
            runs.append([])
        if tells:
            runs[-1].append(_plain(word))
        if _plain(word) != word.lower():  # of whom: "Corning's net sales"
            runs.append([])
        end = found.end()
    return [" ".join(run) for run in runs if len(run) > 1]


def _words(text: str) -> list[str]:
    return _WORD.findall(with_ngrams(text))


def _tells(word: str, shouted: bool) -> bool:
    """Whether a word is searched for; ``shouted`` if all of the question is in capitals."""
    if unspaced(word):
        return not _PARTICLES.fullmatch(word)
    if len(word) == 1:
        return word.isdigit() or (word.isupper() and word not in "AI" and not shouted)
    name = word.isupper() and not shouted
    return name or _plain(word) not in _STOP_WORDS


def _plain(word: str) -> str:
    """A word in lower case, without its genitive."""
    return word.lower().replace("’", "'").removesuffix("'s")


def match_expression(question: str) -> str:
    """Return an FTS5 expression for the passages that may answer ``question``.

    Empty if the question holds no letter or digit: then there is nothing to search for.
    """
    words = query_terms(question)[: MAX_TERMS // 2]
    terms = [*words, *_phrases(question), *document_phrases(question)]
    return " OR ".join(quote_term(term) for term in dict.fromkeys(terms[:MAX_TERMS]))
