import pytest

from channels.daraja.callback_urls import url_problems


@pytest.mark.parametrize(
    "url",
    ["https://pay.tuzo.co.ke/h/bdfghjkmnprtvwxz2456789bdfghj/c2b-confirmation", "https://8.8.8.8/h/abc/stk-callback"],
)
def test_a_public_https_address_has_no_problem_in_production(url):
    assert url_problems(url, production=True) == []


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://pay.tuzo.co.ke/M-PESA/abc", "m-pesa"),
        ("https://mPesa.tuzo.co.ke/h/abc", "mpesa"),
        ("https://pay.tuzo.co.ke/m_pesa", "m_pesa"),
        ("https://pay.tuzo.co.ke/m%70esa", "mpesa"),
        ("https://pay.tuzo.co.ke/Safaricom", "safaricom"),
        ("https://executive.co.ke/h", "exec"),
        ("https://pay.tuzo.co.ke/a.exe", "exe"),
        ("https://pay.tuzo.co.ke/cmd", "cmd"),
        ("https://pay.tuzo.co.ke/MySQL", "sql"),
        ("https://pay.tuzo.co.ke/stk-query", "query"),
    ],
)
def test_forbidden_words_are_found_everywhere_in_any_case(url, word):
    assert url_problems(url, production=False) == [f"Safaricom refuses URLs that contain “{word}”."]
    assert url_problems(url, production=True) == [f"Safaricom refuses URLs that contain “{word}”."]


@pytest.mark.parametrize("url", ["http://localhost:8000/h/abc/result", "https://abc.ngrok.io/h/abc/result"])
def test_practice_and_sandbox_may_use_http_local_addresses_and_tunnels(url):
    assert url_problems(url, production=False) == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://pay.tuzo.co.ke/h/abc", "Production needs https."),
        ("https://abc.ngrok.io/h/abc", "Safaricom blocks tunnels and request catchers in production."),
        ("https://x.trycloudflare.com/h/abc", "Safaricom blocks tunnels and request catchers in production."),
        ("https://localhost/h/abc", "Safaricom can't reach this address from the internet."),
        ("https://10.0.0.7/h/abc", "Safaricom can't reach this address from the internet."),
        ("https://[::1]/h/abc", "Safaricom can't reach this address from the internet."),
        ("https://tuzo.local/h/abc", "Safaricom can't reach this address from the internet."),
        ("https://tuzo.local./h/abc", "Safaricom can't reach this address from the internet."),
        ("https://localhost./h/abc", "Safaricom can't reach this address from the internet."),
    ],
)
def test_production_says_what_is_wrong(url, problem):
    assert url_problems(url, production=True) == [problem]


@pytest.mark.parametrize(
    "url",
    ["", "pay.tuzo.co.ke/h", "ftp://pay.tuzo.co.ke/h", "https://", "https://pay.tuzo.co.ke/a b", "https://päy.co.ke/h"],
)
def test_what_is_no_whole_plain_url_is_refused(url):
    assert url_problems(url, production=False) == [
        "Write the whole URL in plain letters, like https://pay.example.co.ke/h/abc."
    ]


@pytest.mark.parametrize("url", ["https://[::1/h", "https://pay.tuzo.co.ke:99999/h"])
def test_what_can_not_be_read_as_a_url_is_refused(url):
    assert url_problems(url, production=False) == ["This is not a URL."]


@pytest.mark.parametrize("url", ["https://me:pass@pay.tuzo.co.ke/h", "https://pay.tuzo.co.ke/h#part"])
def test_user_names_and_fragments_are_refused(url):
    assert url_problems(url, production=False) == ["A callback URL has no user name, password or #fragment."]
