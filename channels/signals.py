"""The announcements of this room. Rooms above listen; none is known here."""

from django.dispatch import Signal

# Sent inside the commit that makes a channel active, the first time and every other, with `channel: MpesaChannel`
# (locked, with the facts as they are then). A receiver only promises work (`enqueue`).
channel_activated = Signal()

# Sent before the practice phone pays, with `channel: MpesaChannel`, `account_reference`, `phone_number` (2547…), `name`
# and `now`, in a commit of its own: a receiver can make the phone's owner somebody whom the business knows.
practice_payment_coming = Signal()
