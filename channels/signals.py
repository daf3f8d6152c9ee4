"""The one announcement of this room. Rooms above listen; none is known here."""

from django.dispatch import Signal

# Sent inside the commit that makes a channel active, the first time and every other, with `channel: MpesaChannel`
# (locked, with the facts as they are then). A receiver only promises work (`enqueue`).
channel_activated = Signal()
