import io
import logging.config

import pytest
from django.conf import settings

CANARY = "canary4f2aCANARY4f2acanary"
TOKEN = "bdfghjkmnprtvwxz2456789bdfghj"


@pytest.fixture
def written():
    """A logger with the installation's own formatter, and what it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    line = settings.LOGGING["formatters"]["line"]
    handler.setFormatter(logging.config.DictConfigurator({"version": 1}).configure_formatter(dict(line)))
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_arguments_of_a_message_are_redacted(written):
    logger, stream = written

    logger.warning("The bell for %s did not ring: %r", "254712345678", {"Authorization": f"Bearer {CANARY}"})

    assert "The bell for 2547****678 did not ring" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_traceback_is_redacted(written):
    logger, stream = written

    try:
        raise ValueError(f"/h/{TOKEN}/result from 254712345678")
    except ValueError as cause:
        try:
            raise RuntimeError(f"passkey={CANARY}") from cause
        except RuntimeError:
            logger.exception("It broke", stack_info=True)

    text = stream.getvalue()
    assert "ValueError: /h/(token)/result from 2547****678" in text
    assert "RuntimeError: passkey=(hidden)" in text
    assert "Stack (most recent call last)" in text
    assert CANARY not in text
    assert TOKEN not in text
    assert "254712345678" not in text


def test_every_handler_redacts():
    handlers = settings.LOGGING["handlers"].values()

    assert [handler["formatter"] for handler in handlers] == ["line"]
    assert settings.LOGGING["formatters"]["line"]["()"] == "config.logs.RedactingFormatter"
