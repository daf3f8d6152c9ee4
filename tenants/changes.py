"""Hears when a business or a host name changed, by whatever process, and forgets what was kept in memory of it."""

import logging
import threading

import psycopg
from psycopg.conninfo import make_conninfo

from tenants.hosts import forget_hosts
from tenants.inbox import database_url

logger = logging.getLogger(__name__)

_CHANNEL = "tenants_changed"  # a trigger announces the table's name (tenants 0001)
_TABLES = {"tenants_tenant", "tenants_domain"}
_LISTEN_FOR_S = 2.0  # then look whether to stop
_RECONNECT_AFTER_S = 1.0
# A peer that went away without a word is noticed within half a minute.
_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 5}


def start_listening() -> threading.Event:
    """Listen from now on, in a thread of its own; setting the event that is returned ends it."""
    stop = threading.Event()
    threading.Thread(target=_listen, args=(database_url(), stop), name="tenant-changes", daemon=True).start()
    return stop


def _listen(url: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            with psycopg.connect(make_conninfo(url, **_KEEPALIVE), autocommit=True) as listener:
                listener.execute(f"LISTEN {_CHANNEL}")
                forget_hosts()  # what changed while nobody listened
                while not stop.is_set():
                    for notice in listener.notifies(timeout=_LISTEN_FOR_S):
                        if notice.payload in _TABLES:
                            forget_hosts()
        except psycopg.OperationalError as error:
            logger.warning("Not hearing of changed businesses for the moment: %s", error)
            stop.wait(_RECONNECT_AFTER_S)
