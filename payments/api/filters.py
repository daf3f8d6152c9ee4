from typing import Any

import django_filters
from django.db.models import QuerySet

from payments.accounts import of_account


class AccountFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A whole account number, however it is spelt."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.filter(of_account(value)) if value else qs
