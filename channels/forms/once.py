"""Forms that move money, points or messages: pressed twice, they take effect once."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.utils import timezone

from channels.idempotency import do_once
from tenants.forms.base import PageForm


class OnceForm(PageForm):
    """Each page that shows it has a key of its own, as callers of the API give their requests one."""

    form_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4, required=False)

    def clean_form_key(self) -> UUID:
        return self.cleaned_data["form_key"] or uuid4()

    @property
    def given(self) -> dict[str, Any]:
        """What was filled in."""
        return {name: value for name, value in self.cleaned_data.items() if name != "form_key"}

    def once(self, *, environment: str, work: Callable[[], Any]) -> Any:
        """What `work` returns (JSON); pressed again, what it returned then. It runs in one commit with the key.

        :raises RequestInProgress: while the first press is being worked on.
        :raises IdempotencyKeyReused: if the page was sent again with something else in it.
        """
        filled_in = json.dumps({name: str(value) for name, value in sorted(self.given.items())})
        answer = do_once(
            key=f"form:{self.cleaned_data['form_key']}",
            environment=environment,
            request_hash=hashlib.sha256(filled_in.encode()).digest(),
            work=lambda: (200, work()),
            now=timezone.now(),
        )
        return answer.body
