"""English with places in it, for whoever says the same in another language."""

from collections.abc import Mapping


class Phrase(str):
    """`Phrase("%(key)s is missing.", key="TransID")`: as text it is the English."""

    msgid: str
    values: Mapping[str, str]

    def __new__(cls, msgid: str, /, **values: str) -> "Phrase":
        self = super().__new__(cls, msgid % values if values else msgid)
        self.msgid, self.values = msgid, values
        return self
