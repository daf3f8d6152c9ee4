import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_variables():
    settings = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'\benv(?:_[a-z]+)?\(\s*"([A-Z_]+)"', settings))
    for folder in ("audit", "tenants", "channels", "payments", "loyalty"):
        for module in (ROOT / folder).rglob("*.py"):
            names |= set(re.findall(r'environ(?:\.get\(|\[)\s*"([A-Z_]+)"', module.read_text(encoding="utf-8")))
    return names


def test_every_variable_that_is_read_is_explained():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    explained = {}
    for before, line in pairwise(lines):
        if match := re.match(r"#([A-Z_]+)=", line):
            explained[match[1]] = before

    assert "DATABASE_URL" in read_variables()
    assert set(explained) == read_variables()
    assert [name for name, before in explained.items() if not before.startswith("# ")] == []


def test_the_example_decides_nothing_by_itself():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
