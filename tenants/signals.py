"""The announcements of this room. Rooms above listen; none is known here."""

from django.dispatch import Signal

# Sent when a visitor opens a page of the demo, inside it, with `tenant: Tenant`. A receiver only promises work.
demo_visited = Signal()
