"""What is wrong with the HTML of a page, as far as a program can tell without a browser."""

from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urlsplit

_ADDRESSES = {"src", "href", "action", "hx-get", "hx-post", "formaction", "poster", "data"}


class Markup(HTMLParser):
    """`problems()` lists sentences; `assets` holds the static files that the page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.language = ""
        self.theme = ""
        self.environment = ""
        self.assets: set[str] = set()
        self.headings = 0
        self._ids: Counter[str] = Counter()
        self._points_at: list[tuple[str, str]] = []
        self._found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "html":
            self.language, self.theme = given.get("lang", ""), given.get("data-theme", "")
            self.environment = given.get("data-environment", "")
        self.headings += tag == "h1"
        if tag == "style" or "style" in given:
            self._found.append(f"<{tag}> has a style of its own")
        if tag == "script" and "src" not in given:
            self._found.append("a script stands in the page")
        self._found += [f"<{tag}> has {name}" for name in given if name.startswith(("on", "hx-on"))]
        if "id" in given:
            self._ids[given["id"]] += 1
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls", "hx-target"):
            for target in given.get(name, "").split():
                if name != "hx-target" or target.startswith("#"):
                    self._points_at.append((f"<{tag} {name}>", target.removeprefix("#")))
        if given.get("href", "").startswith("#"):
            self._points_at.append((f"<{tag} href>", given["href"][1:]))
        for name in _ADDRESSES & given.keys():
            self._look_at(tag, name, given[name])

    def _look_at(self, tag: str, name: str, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"", "data", "tel", "mailto"} and not (parts.hostname or "").endswith("localhost"):
            self._found.append(f"<{tag} {name}> leads to another host: {address}")
        if name in {"src", "href"} and tag in {"script", "link", "img", "use"} and parts.path.startswith("/static/"):
            self.assets.add(parts.path.removeprefix("/static/"))

    def problems(self) -> list[str]:
        twice = [f"id {each!r} stands {times} times" for each, times in self._ids.items() if times > 1]
        nowhere = [f"{who} points at #{target}" for who, target in self._points_at if target not in self._ids]
        return self._found + twice + nowhere
