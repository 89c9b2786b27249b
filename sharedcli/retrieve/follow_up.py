"""Questions of a conversation: what to search for, and whether the documents must answer them.

Notable choices:
- A short question ("and in 2021?") and one that refers back ("who paid for it?") are searched for
  together with those before, back to one of its own. Everything else is such, and fewer words
  make one that asks by a name ("Who audits Amcor?"; not "In Spain or Italy?", "How about Spain?").
- "Which composer wrote symphonies in his exile?" refers to nobody outside: where enough has been
  said before a possessive, it belongs to that.
- Only questions of their own are refused where the documents do not seem to answer them: others
  may be about what was said, and so are those that speak to the assistant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sharedcli.retrieve.lexical import capitalised_terms, query_terms

_POSSESSIVE = frozenset(["his", "her", "its", "their"])
_REFERRING_TEXT = "it they them he him she that this those these there then ones"
_REFERRING = _POSSESSIVE.union(_REFERRING_TEXT.split())
_ADDRESSING = frozenset(["you", "your", "previous", "previously", "earlier", "above", "again"])
ASKING = frozenset(["who", "whom", "whose", "what", "when", "where", "which", "why", "how"])
"""Words that ask for what the question does not say."""
_YES_TEXT = "is are was were am do does did has have had can could will would shall should may must"
YES_OR_NO = frozenset(_YES_TEXT.split())
"""First words of questions that "yes" answers."""
_BEING = frozenset(["is", "are", "was", "were", "be", "been", "has", "have", "had"])
_PREPOSITION_TEXT = "about of for in to with by after before from on at under like"
_PREPOSITIONS = frozenset(_PREPOSITION_TEXT.split())
_FEW_TERMS = 3
_FEW_WITH_NAME = 2
_REACH = 4
"""Questions before that may be searched for, too."""


def search_text(question: str, history: Sequence[tuple[str, str]]) -> str:
    """What to search for.

    Args:
        question: as typed.
        history: questions and answers before it, the oldest first.
    """
    if _is_own(question):
        return question
    asked = [question]
    for before, _ in reversed(history[-_REACH:]):
        asked.append(before)
        if _is_own(before) or _says_enough(before):
            break
    return " ".join(asked)


def stands_alone(question: str, history: Sequence[tuple[str, str]]) -> bool:
    """Whether the documents must answer it: it cannot be about what was said before."""
    return not history or (_is_own(question) and _ADDRESSING.isdisjoint(_words(question)))


def _is_own(question: str) -> bool:
    terms, words = set(query_terms(question)), _words(question)
    if len(terms) < (_FEW_WITH_NAME if _names(question, words) else _FEW_TERMS):
        return False
    referring = (place for place in range(len(words)) if _refers(words, place))
    return all(
        words[place] in _POSSESSIVE
        and len(terms.intersection(query_terms(" ".join(words[:place])))) >= _FEW_TERMS
        for place in referring
    )


def _says_enough(question: str) -> bool:
    """Whether it is what another may go on from: a whole question that refers to nothing."""
    words = _words(question)
    refers = any(_refers(words, place) for place in range(len(words)))
    return _asks(words) and not refers and len(query_terms(question)) >= _FEW_WITH_NAME


def _refers(words: Sequence[str], place: int) -> bool:
    """Whether a word stands for what was said before; "there" of "is there" does not."""
    word, before = words[place], words[place - 1] if place else ""
    if word == "there":
        return before not in _BEING
    if word == "that":
        return place <= 1 or place == len(words) - 1 or before in _PREPOSITIONS
    return word in _REFERRING


def _names(question: str, words: Sequence[str]) -> bool:
    """Whether it asks a whole question and a word that is searched for has a capital."""
    return _asks(words) and bool(capitalised_terms(question))


def _asks(words: Sequence[str]) -> bool:
    return bool(words) and words[0] in ASKING | YES_OR_NO and words[1:2] != ["about"]


def _words(question: str) -> list[str]:
    return re.findall(r"\w+", question.lower())
