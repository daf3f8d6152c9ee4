"""QR codes and posters, made by the simulator's Daraja."""

import base64
import io
import re

import pytest
from PIL import Image

from audit.ids import public_id
from channels.qr import Form, Paper, make_qr_code
from channels.status import NotConfigured
from tests.channels.conftest import ADMIN, keys_of
from tests.practice import make_simulator_unreachable


@pytest.fixture
def channel(create, simulator):
    return create(**keys_of(simulator.open()))


def make(channel, form, **changes):
    return make_qr_code(
        **{
            "actor": ADMIN,
            "channel_id": channel.pk,
            "account_reference": "INV-204",
            "amount": 1500,
            "form": form,
            "paper": Paper.A5,
        }
        | changes
    )


def test_the_picture_is_safaricoms(channel):
    made = make(channel, Form.PNG)

    assert (made.content_type, made.name) == ("image/png", f"mpesa-{channel.shortcode}-1500.png")
    picture = Image.open(io.BytesIO(made.content))
    assert picture.format == "PNG"
    assert picture.width == picture.height > 400


def test_the_svg_holds_the_same_picture(channel):
    png, svg = make(channel, Form.PNG), make(channel, Form.SVG)

    inside = re.search(rb'href="data:image/png;base64,([^"]+)"', svg.content)
    assert base64.b64decode(inside[1]) == png.content


@pytest.mark.parametrize(("paper", "points"), [(Paper.A4, (595.28, 841.89)), (Paper.A5, (420.94, 595.28))])
def test_the_poster_is_one_page_of_the_paper(channel, paper, points):
    made = make(channel, Form.PDF, paper=paper)

    assert made.content.startswith(b"%PDF")
    assert made.content.count(b"/Type /Page\n") == 1
    width, height = (
        float(number) for number in re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", made.content).groups()
    )
    assert (width, height) == pytest.approx(points, abs=1.5)


def test_a_long_name_with_foreign_letters_is_printed(channel, in_acme):
    in_acme.business_name = "Mama Njeri’s — Nyama Choma & 烤肉 " * 4

    assert make(channel, Form.PDF).content.startswith(b"%PDF")


def test_a_channel_without_keys_has_no_code(create, simulator):
    channel = create(shortcode="600966")

    with pytest.raises(NotConfigured):
        make(channel, Form.PNG)


def test_a_code_is_downloaded_through_the_api(acme, channel, api):
    answer = api(acme).post(
        "/api/v1/qr-codes/",
        {"channel": public_id("ch", channel.pk), "account_reference": "TABLE 7", "amount": 50, "format": "pdf"},
        format="json",
    )

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == f'attachment; filename="mpesa-{channel.shortcode}-50.pdf"'
    assert answer.content.startswith(b"%PDF")


@pytest.mark.parametrize(
    "wrong", [{"amount": 0}, {"amount": 250_001}, {"amount": None}, {"account_reference": ""}, {"format": "gif"}]
)
def test_what_can_not_be_in_a_code_is_refused_with_its_field(acme, channel, api, wrong):
    body = {"channel": public_id("ch", channel.pk), "account_reference": "A", "amount": 50} | wrong

    answer = api(acme).post("/api/v1/qr-codes/", body, format="json")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, list(wrong))


def test_a_product_that_the_app_lacks_is_told_in_plain_words(acme, create, simulator, api):
    channel = create(**keys_of(simulator.open(products=["stk"])))
    body = {"channel": public_id("ch", channel.pk), "account_reference": "A", "amount": 50}

    answer = api(acme).post("/api/v1/qr-codes/", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "mpesa_refused")


def test_safaricom_out_of_reach_is_told_as_such(acme, channel, api, settings):
    make_simulator_unreachable(settings)
    body = {"channel": public_id("ch", channel.pk), "account_reference": "A", "amount": 50}

    answer = api(acme).post("/api/v1/qr-codes/", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (503, "mpesa_unavailable")


def test_the_rival_makes_no_code_for_acmes_channel(rival, channel, api):
    body = {"channel": public_id("ch", channel.pk), "account_reference": "A", "amount": 50}

    assert api(rival).post("/api/v1/qr-codes/", body, format="json").status_code == 404
