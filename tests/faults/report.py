"""The printed result of a run."""

from collections import Counter
from collections.abc import Iterator

from tests.faults.run import Result

_SHOWN = 200  # of the sentences about what is wrong


def as_text(result: Result) -> str:
    """A table, and under it what is wrong."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    measures = result.measures
    yield f"Fault run, seed {result.seed}: {measures.seconds / 60:g} minutes, {measures.businesses} businesses"
    yield ""
    for name, count in result.counts:
        yield f"  {name:<30} {count:>8,}"
    counts = dict(result.counts)
    if asked := counts.get("money asked about"):
        yield f"  {'share of these':<30} {counts['  resolved without a person'] / asked:>8.2%}"
    yield from _counted("kill -9", result.kills)
    yield from _counted("faults struck", result.faults)
    yield from _counted("requests repeated", result.unanswered)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    yield ""
    yield f"  {took}"
    yield f"  {'DIFFERENCES':<30} {len(result.wrong):>8,}"
    yield from (f"    {sentence}" for sentence in result.wrong[:_SHOWN])


def _counted(name: str, counter: Counter[str]) -> Iterator[str]:
    yield f"  {name:<30} {counter.total():>8,}"
    for what, count in sorted(counter.items()):
        yield f"    {what:<28} {count:>8,}"
