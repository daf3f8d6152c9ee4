"""The one announcement of this room. Rooms above listen; none is known here."""

from django.dispatch import Signal

# Sent inside the commit that records them, with `payment_ids: list[UUID]`. A receiver only promises work (`enqueue`).
payments_recorded = Signal()
