"""A browser's window that notes whatever goes wrong in it."""

from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""
_WEIGHT = """() => {
  const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return loaded.map((each) => [new URL(each.name).pathname, each.transferSize]);
}"""


class Visit:
    """One window. `complaints` is empty as long as all is well.

    `home` is the domain of the installation: what is asked from elsewhere is a complaint.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        width: int = 360,
        language: str = "en",
        theme: str = "light",
        scripts: bool = True,
        home: str = "localhost",
        has_cache: bool = True,
    ) -> None:
        self._home = home
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 800 if width < 600 else 900},
            locale=language,
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        self.context.add_init_script(_NOTE_VIOLATIONS)
        self.page: Page = self.context.new_page()
        if not has_cache:
            network = self.context.new_cdp_session(self.page)
            network.send("Network.enable")
            network.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self.complaints: list[str] = []
        self.page.on("console", self._hear_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"a script failed: {error}"))
        self.page.on("request", self._watch_request)
        self.page.on("requestfailed", self._hear_failure)

    def _hear_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _watch_request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and not (parts.hostname or "").endswith(self._home):
            self.complaints.append(f"asked another host: {request.url}")

    def _hear_failure(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # that one is us, who went on before all was loaded
            self.complaints.append(f"{request.url}: {request.failure}")

    def look_around(self) -> list[str]:
        """Everything that is wrong with the page as it stands."""
        found, self.complaints = self.complaints, []
        found += [f"policy: {each}" for each in self.page.evaluate("window.violations")]
        found += filter(None, [self.scrolls_sideways()])
        checked = Axe().run(self.page, options={"runOnly": {"type": "tag", "values": _WCAG}})
        for violation in checked.response["violations"]:
            places = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
            found.append(f"axe {violation['id']}: {violation['help']}: {places}")
        return found

    def scrolls_sideways(self) -> str:
        """How much wider than the screen the page is; empty if it is not."""
        root = "document.documentElement"
        needed, there = self.page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
        return f"scrolls sideways: {needed} px on a screen of {there}" if needed > there else ""

    def weight(self) -> dict[str, int]:
        """Bytes that came over the wire for this page, by path."""
        weights: dict[str, int] = {}
        for path, size in self.page.evaluate(_WEIGHT):
            weights[path] = weights.get(path, 0) + size
        return weights

    def close(self) -> None:
        self.context.close()
