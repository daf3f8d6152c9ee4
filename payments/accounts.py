"""What counts of an account number: ` vip 001`, `VIP-001` and `vip001` are one, as they are for a channel's rules.

`account_key` says it of what somebody typed, `key_of_account` of what the database holds; both must agree, and the
indexes `payment_reference` and `invoice_account` are of the latter. Only the letters A to Z have a case here, so that
no database's language changes an index.
"""

from string import ascii_lowercase, ascii_uppercase

from django.db.models import Func, Q, Value
from django.db.models.lookups import Exact

from channels.mapping import IGNORED

_KEY = dict.fromkeys(map(ord, IGNORED)) | str.maketrans(ascii_uppercase, ascii_lowercase)


def account_key(typed: str) -> str:
    """`" VIP-001 "` → `"vip001"`."""
    return typed.translate(_KEY)


def key_of_account() -> Func:
    """The same of the column `account_reference`, by the database."""
    return Func("account_reference", Value(ascii_uppercase + IGNORED), Value(ascii_lowercase), function="TRANSLATE")


def of_account(typed: str) -> Q:
    """Rows whose account number is the one that was typed, however it is spelt. Those without any have none."""
    return Q(Exact(key_of_account(), account_key(typed))) & ~Q(account_reference="")
