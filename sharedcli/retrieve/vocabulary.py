"""What documents call the things that questions name by a short form or by a ratio.

A question says "capex", "working capital" or "topline"; the page that answers it says "purchases of
property, plant and equipment", "total current liabilities" or "net sales". Sentence vectors bridge
that gap only in part, and full-text search not at all.

Notable choices:
- Only equivalences that any accounting primer states: an abbreviation and its long form, a ratio
  and the lines it is computed from, a statement and its usual titles. No company, no year.
- Phrases are added to a question, never put in place of its words, so that a rule that does not fit
  a document costs little: phrases that do not occur there match nothing.
- It is a plain table; domains other than business reports have no entries yet, and their questions
  pass unchanged.
"""

from __future__ import annotations

import re

_PPE = "property, plant and equipment"
_CAPEX = ("capital expenditures", "capital spending", f"purchases of {_PPE}")
_SALES = ("net sales", "net revenue", "total revenues")
_INCOME = (
    "consolidated statements of income",
    "consolidated statement of income",
    "consolidated statements of operations",
    "consolidated statements of earnings",
)
_BALANCE = ("consolidated balance sheets", "consolidated balance sheet")
_CASH = ("consolidated statements of cash flows", "consolidated statement of cash flows")
_CURRENT = ("total current assets", "total current liabilities")

_TABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    # abbreviations
    (r"cap(ital)?[ -]?ex(p|penditures?)?", _CAPEX),
    (r"pp&e|ppe|fixed assets?", (_PPE, "property and equipment, net")),
    (r"d&a", ("depreciation and amortization",)),
    (r"ebit", ("operating income", "earnings before interest and taxes")),
    (r"ebitda[rx]?", ("operating income", "depreciation and amortization", "operating profit")),
    (r"sg&a", ("selling, general and administrative",)),
    (r"r&d", ("research and development",)),
    (r"cogs", ("cost of sales", "cost of goods sold")),
    (r"eps", ("earnings per share",)),
    (r"m&a", ("acquisitions", "divestitures")),
    (r"fx", ("foreign exchange", "currency translation")),
    (r"(free cash flow|fcf)", ("net cash provided by operating activities", *_CAPEX)),
    # statements
    (r"p&l|income statements?|statements? of (income|operations|earnings)", _INCOME),
    (r"profit and loss", _INCOME),
    (r"balance sheets?|statements? of financial position", _BALANCE),
    (r"cash[ -]flow statements?|statements? of cash flows?", _CASH),
    # ratios, by the lines they are computed from
    (r"capital[ -]intens\w+", (*_CAPEX, "total assets", _PPE, *_SALES)),
    (r"working capital|current ratio", _CURRENT),
    (r"quick ratio|acid[ -]test", ("cash and cash equivalents", "accounts receivable", *_CURRENT)),
    (r"gross (margin|profit)", ("gross margin", "gross profit", "cost of sales")),
    (r"operating margin", ("operating income", "operating income margin", "percent of net sales")),
    (r"net (profit )?margin", ("net income", *_SALES)),
    (r"return on (assets|equity)|ro[ae]", ("net income", "total assets", "total equity")),
    (r"inventory turnover|days inventory|dio", ("inventories", "cost of sales")),
    (r"days payables?|dpo", ("accounts payable", "cost of sales")),
    (r"days sales|dso", ("accounts receivable", *_SALES)),
    (r"asset turnover", ("total assets", *_SALES)),
    (r"interest coverage", ("interest expense", "operating income")),
    (r"(dividend )?payout ratio", ("cash dividends", "net income")),
    (r"tax rate", ("effective tax rate", "provision for income taxes")),
    (r"tax rate", ("income before income taxes",)),
    # everyday words
    (r"debt|leverage|gearing", ("long-term debt", "short-term debt", "total debt")),
    (r"liquidity", ("liquidity and capital resources",)),
    (r"top[ -]?line|revenues?|sales", _SALES),
    (r"bottom[ -]?line", ("net income", "net earnings")),
    (r"legal battles?|lawsuits?|litigations?", ("legal proceedings", "litigation")),
    (r"buy ?backs?", ("share repurchases", "repurchases of common stock")),
    (r"headcount|workforce", ("employees",)),
)

# "&" is part of a word here: "R&D" must not be found in "AR&DX".
_RULES = tuple(
    (re.compile(rf"(?<![\w&])(?:{pattern})(?![\w&])", re.IGNORECASE), phrases)
    for pattern, phrases in _TABLE
)


def document_phrases(question: str) -> list[str]:
    """Return the phrases that documents use for what ``question`` names, without repetition."""
    found = [phrase for rule, phrases in _RULES if rule.search(question) for phrase in phrases]
    return list(dict.fromkeys(found))
