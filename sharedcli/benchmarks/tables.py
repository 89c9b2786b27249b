"""The tables of a result, as text: the terminal and Markdown show the same cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sharedcli.benchmarks.result import Result

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class TextTable:
    """Headings and rows of equal length; all columns but the first are figures."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(result: Result) -> list[TextTable]:
    """The tables of a result, the main one first."""
    made = {"latency": _latency, "memory": _memory, "storage": _storage, "index": _index}
    return made[result.task](result)


def remarks(result: Result) -> list[str]:
    """Sentences below the tables: what was skipped and why, caveats, slopes."""
    found = []
    for entry in result.methods:
        if entry.get("skipped"):
            where = f"{entry['method']} at {entry['context']:,} tokens"
            found.append(f"{where} was skipped: {entry['skipped']}")
    caveats = {(e["method"], e["caveat"]) for e in result.methods if e.get("caveat")}
    found += [f"{method}: {caveat}" for method, caveat in sorted(caveats)]
    found += list(result.notes)
    more = result.more
    if ceiling := more.get("ceiling"):
        found.append(
            f"ceiling of this run: {ceiling['flops'] / 1e12:.3g} TFLOP/s in a plain matrix "
            f"product, {ceiling['bytes'] / 1e9:.3g} GB/s in a plain copy"
        )
    for method, slope in (more.get("slopes_mb_per_100k_tokens") or {}).items():
        if slope is not None:
            found.append(f"{method}: {slope:.1f} MB more per 100,000 tokens")
    if (slope := more.get("slope_mb_per_100k_tokens")) is not None:
        found.append(f"peak memory grows by {slope:.1f} MB per 100,000 tokens")
    if (ratio := more.get("cost_ratio_longest_to_shortest")) is not None:
        found.append(f"a token of the longest document costs {ratio:.2f} x one of the shortest")
    if profile := more.get("profile"):
        shares = ", ".join(f"{share:.0%} {kind}" for kind, share in profile["shares"].items())
        found.append(f"time of indexing {profile['context']:,} tokens: {shares}")
    if (loss := more.get("loss_without_slots")) is not None:
        found.append(f"without slots the loss is {loss:.4f}, over {more['windows']} windows")
    return found


def _latency(result: Result) -> list[TextTable]:
    rows = []
    for entry in result.methods:
        ratio = entry["ratio"] or {}
        rows.append(
            (
                entry["method"],
                tokens(entry["context"]),
                _spread(entry, "seconds", seconds),
                _spread(entry, "ttft_seconds", seconds),
                _spread(entry, "tokens_per_second", _rate),
                _cell(entry["cpu_seconds"], seconds),
                _cell(entry["peak_bytes"], gigabytes),
                _times(ratio, "seconds"),
                _times(ratio, "ttft_seconds"),
                _times(ratio, "tokens_per_second"),
            )
        )
    faster = f"x {result.more['baseline']}" if result.more["baseline"] else "x"
    heads = ("tokens", "seconds", "first token", "decode/s", "CPU s", "peak", faster)
    main = TextTable(("method", *heads, "first token", "decode"), rows)
    lines = [
        (
            entry["method"],
            tokens(entry["context"]),
            line["stage"],
            seconds(line["seconds"]),
            f"{line['flops'] / 1e9:.3g}",
            f"{line['bytes'] / 1e9:.3g}",
            line["bound"],
            f"{line['share']:.1%}",
        )
        for entry in result.methods
        for line in entry["stages"]
    ]
    if not lines:
        return [main]
    heads = ("tokens", "stage", "seconds", "GFLOP", "GB moved", "bound by", "of the ceiling")
    return [main, TextTable(("roofline", *heads), lines)]


def _memory(result: Result) -> list[TextTable]:
    rows = [
        (
            entry["method"],
            tokens(entry["context"]),
            _cell(entry["base_bytes"], gigabytes),
            _cell(entry["peak_bytes"], gigabytes),
            _cell(entry["beyond_base_bytes"], megabytes),
            _cell(entry["estimated_bytes"], gigabytes),
            _cell(entry["estimate_ratio"], lambda ratio: f"{ratio:.2f}"),
        )
        for entry in result.methods
    ]
    heads = ("tokens", "base", "peak", "beyond base", "estimate", "estimate/peak")
    return [TextTable(("memory of", *heads), rows)]


def _storage(result: Result) -> list[TextTable]:
    rows = [
        (
            entry["slot_format"],
            entry["levels"].replace("_", " ") + (" *" if entry["caveat"] else ""),
            f"{entry['slot_bytes_per_token']:,.0f}",
            f"{entry['bytes_per_token']:,.0f}",
            f"{entry['loss']:.4f}",
            _spread(entry, "loss_increase", lambda rise: f"{rise:+.4f}"),
            _spread(entry, "kl", lambda apart: f"{apart:.5f}"),
        )
        for entry in result.methods
    ]
    heads = ("levels", "slot B/token", "all B/token", "loss", "above bfloat16", "KL to bfloat16")
    return [TextTable(("slots", *heads), rows)]


def _index(result: Result) -> list[TextTable]:
    rows = [
        (
            tokens(entry["context"]),
            _spread(entry, "seconds", seconds),
            _spread(entry, "tokens_per_second", _rate),
            _cell(entry.get("microseconds_per_token"), lambda cost: f"{cost:,.0f}"),
            _cell(entry["cpu_seconds"], seconds),
            _cell(entry["bytes_per_token"], lambda size: f"{size:,.0f}"),
            _cell(entry["peak_bytes"], gigabytes),
        )
        for entry in result.methods
    ]
    heads = ("seconds", "tokens/s", "µs/token", "CPU s", "B/token", "peak")
    return [TextTable(("tokens", *heads), rows)]


def tokens(count: int) -> str:
    """A length: "8K" where it is a multiple of 1,024, "1M" of 1,048,576, else the number."""
    for unit, size in (("M", 1 << 20), ("K", 1 << 10)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count:,}"


def seconds(amount: float) -> str:
    """Three digits that count: "0.0123", "1.23", "123"."""
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def gigabytes(count: float) -> str:
    """Decimal gigabytes."""
    return f"{count / 1e9:.2f} GB"


def megabytes(count: float) -> str:
    """Decimal megabytes."""
    return f"{count / 1e6:,.0f} MB"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _times(ratio: Mapping[str, Any], name: str) -> str:
    return "-" if ratio.get(name) is None else f"{ratio[name]:.2f}"


def _cell(value: float | None, shown: Callable[[float], str]) -> str:
    return "-" if value is None else shown(value)


def _spread(entry: Entry, name: str, shown: Callable[[float], str]) -> str:
    """A median with its range: "1.23 [1.20, 1.31]"; alone where there was one run."""
    if entry.get(name) is None:
        return "-"
    bounds: Sequence[float] = entry["spread"].get(name, ())
    if not bounds or bounds[0] == bounds[1]:
        return shown(entry[name])
    return f"{shown(entry[name])} [{shown(bounds[0])}, {shown(bounds[1])}]"
