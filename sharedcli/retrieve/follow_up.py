"""Questions of a conversation: what to search for, and whether the documents must answer them.

Notable choices:
- A short question ("and in 2021?") and one that refers back ("who paid for it?") are searched for
  together with the question before. Everything else is a question of its own, and fewer words
  make one that asks by a name ("Who audits Amcor?"; not "In Spain or Italy?", "How about Spain?").
- "Which composer wrote symphonies in his exile?" refers to nobody outside: where enough has been
  said before a possessive, it belongs to that.
- Only questions of their own are refused where the documents do not seem to answer them: others
  may be about what was said, and so are those that speak to the assistant.
"""

from __future__ import annotations

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
_FEW_TERMS = 3
_FEW_WITH_NAME = 2


def search_text(question: str, history: Sequence[tuple[str, str]]) -> str:
    """What to search for.

    Args:
        question: as typed.
        history: questions and answers before it, the oldest first.
    """
    if not history or _is_own(question):
        return question
    return f"{question} {history[-1][0]}"


def stands_alone(question: str, history: Sequence[tuple[str, str]]) -> bool:
    """Whether the documents must answer it: it cannot be about what was said before."""
    return not history or (_is_own(question) and _ADDRESSING.isdisjoint(_words(question)))


def _is_own(question: str) -> bool:
    terms, words = set(query_terms(question)), _words(question)
    if len(terms) < (_FEW_WITH_NAME if _names(question, words) else _FEW_TERMS):
        return False
    referring = (place for place, word in enumerate(words) if word in _REFERRING)
    return all(
        words[place] in _POSSESSIVE
        and len(terms.intersection(query_terms(" ".join(words[:place])))) >= _FEW_TERMS
        for place in referring
    )


def _names(question: str, words: Sequence[str]) -> bool:
    """Whether it asks a whole question and a word that is searched for has a capital."""
    asks = words[:1] and words[0] in ASKING | YES_OR_NO and words[1:2] != ["about"]
    return bool(asks and capitalised_terms(question))


def _words(question: str) -> list[str]:
    return question.lower().replace("?", " ").split()
