"""A benchmark's result: one line for each measure, with its budget where design section 12 promises one."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    measure: str
    value: str
    budget: str = ""
    is_kept: bool | None = None


def as_text(lines: Sequence[Line]) -> str:
    width = max(len(line.measure) for line in lines)
    value_width = max(len(line.value) for line in lines)
    verdicts = {True: "kept", False: "MISSED", None: ""}
    return "\n".join(
        f"  {line.measure:<{width}}  {line.value:>{value_width}}  {line.budget:<12} {verdicts[line.is_kept]}".rstrip()
        for line in lines
    )
