"""The HTTP server of tests that play somebody else's."""

from http.server import ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    """Lets as many connections wait as a test opens at once: of more than five, the usual number, some are reset."""

    request_queue_size = 128
