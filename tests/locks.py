"""For tests of races: whose turn it is, read from the database instead of guessed from the clock."""

from django.db import connection

from config.launcher.processes import wait_until

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def wait_until_somebody_waits_for_a_lock() -> None:
    """Return when another connection to this run's database can't go on before somebody commits."""

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            return bool(cursor.fetchone()[0])

    assert wait_until(waits, timeout_s=10), "Nobody waits."
