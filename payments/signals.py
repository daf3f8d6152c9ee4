"""The announcements of this room. Rooms above listen; none is known here. A receiver only promises work (`enqueue`)."""

from django.dispatch import Signal

# Sent inside the commit that records them, with `payment_ids: list[UUID]`.
payments_recorded = Signal()

# Sent inside the commit that notes that a payment was given back whole, with `payment_id: UUID`.
payment_reversed = Signal()
