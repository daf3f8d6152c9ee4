"""Every route that a request can take, read from the resolver of both hosts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)")


@dataclass(frozen=True)
class Route:
    """`pattern` is as it stands in the code; `template` has `{name}` for each of its `parameters`."""

    urlconf: str
    pattern: str
    template: str
    parameters: tuple[str, ...]
    name: str = ""

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith("api/")

    @property
    def is_operators(self) -> bool:
        return self.pattern.startswith("operators/")

    def path(self, values: dict[str, str]) -> str:
        return "/" + self.template.format(**{name: values[name] for name in self.parameters})

    def __str__(self) -> str:
        return f"/{self.pattern} of {self.urlconf}"


def routes_of(urlconf: str) -> list[Route]:
    return list(_walk(urlconf, get_resolver(urlconf).url_patterns, "", ""))


def _walk(urlconf: str, patterns: list[URLPattern | URLResolver], pattern: str, template: str) -> Iterator[Route]:
    for each in patterns:
        here, filled = pattern + str(each.pattern), template + _template_of(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(urlconf, each.url_patterns, here, filled)
        else:
            yield Route(urlconf, here, filled, tuple(re.findall(r"{(\w+)}", filled)), each.name or "")


def _template_of(pattern: Any) -> str:
    if hasattr(pattern, "converters"):  # path()
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern))
    return _NAMED_GROUP.sub(r"{\1}", pattern.regex.pattern).strip("^$")  # re_path()
