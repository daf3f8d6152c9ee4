"""Reports: exact figures, the chart, the files, and who may see them."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context
from PIL import Image
from pypdf import PdfReader

from audit.services import system_actor
from channels.models import Environment
from loyalty.accrual import AccrualTerms
from loyalty.models import Member, PointsEntry, Program
from loyalty.services import create_program
from loyalty.totals import Change, add_to_totals
from payments.models import DayTotal, HourTotal, Payment, Payout, PayoutBatch
from payments.reports import chart
from payments.reports.period import MOST_DAYS, Period, Preset, preset_period, read_period
from payments.reports.registry import make_report
from payments.reports.table import Column, Kind, ReportTable
from payments.services import NAIROBI
from tenants.errors import Invalid, NotFound
from tenants.hosts import forget_hosts
from tenants.models import Branding, Role, Tenant, User
from tenants.permissions import NotPermitted
from tests.factories import make_channel
from tests.pages.test_loyalty import text_of

DAY = datetime(2026, 8, 3, tzinfo=NAIROBI)
DAYS = "since=2026-08-03&until=2026-08-04"
PERIOD = Period(DAY.date(), DAY.date() + timedelta(days=1))


@pytest.fixture
def shop(acme):
    """Two channels in practice, with payments of two days, and one in the sandbox with its own."""
    paybill = make_channel(acme, "600100", name="Shop")
    till = make_channel(acme, "600101", name="=cmd")
    sandbox = make_channel(acme, "600200", environment=Environment.SANDBOX)
    with tenant_context(acme):
        create_program(actor=system_actor("test"), code="vip", name="VIP", accrual=AccrualTerms())
        for channel, day, count, amount, given_back, charges in [
            (paybill, 0, 2, "1500.00", "500.00", "8.25"),
            (till, 0, 1, "250.50", "0", "0"),
            (paybill, 1, 1, "1000.00", "0", "5.50"),
            (paybill, 2, 9, "9999.00", "0", "0"),
            (sandbox, 0, 7, "7777.00", "0", "0"),
        ]:
            DayTotal.objects.create(
                channel=channel,
                date=DAY.date() + timedelta(days=day),
                payment_count=count,
                amount=Decimal(amount),
                reversed_count=1 if Decimal(given_back) else 0,
                reversed_amount=Decimal(given_back),
                charges=Decimal(charges),
            )
        for number, (channel, hours, amount, program, is_reversed) in enumerate(
            [
                (paybill, 0, "1000.00", "vip", False),
                (paybill, 23.9, "500.00", "vip", True),
                (till, 9, "250.50", "", False),
                (paybill, 24 + 9.5, "1000.00", "gone", False),
                (paybill, 48, "9999.00", "vip", False),
                (sandbox, 1, "7777.00", "vip", False),
                (paybill, -0.1, "8888.00", "vip", False),
            ]
        ):
            paid_at = DAY + timedelta(hours=hours)
            Payment.objects.create(
                receipt=f"THC000000{number}",
                channel=channel,
                environment=channel.environment,
                payer="254712345126",
                amount=Decimal(amount),
                routed_to=program,
                source=Payment.Source.CONFIRMATION,
                paid_at=paid_at,
                created_at=paid_at,
                reversed_at=paid_at if is_reversed else None,
            )
            hours, _created = HourTotal.objects.get_or_create(
                channel=channel,
                date=paid_at.date(),
                hour=paid_at.hour,
                routed_to=program,
                defaults={"payment_count": 0, "amount": 0},
            )
            hours.payment_count += 1
            hours.amount += Decimal(amount)
            hours.reversed_count += is_reversed
            hours.reversed_amount += Decimal(amount) if is_reversed else 0
            hours.save()
    return acme


@pytest.fixture
def report(shop, actor):
    """`report("fees")` → rows and totals of the two days in practice."""

    def make(name, environment=Environment.PRACTICE, role=Role.ORG_ADMIN):
        with tenant_context(shop):
            table = make_report(actor=actor(role), name=name, environment=environment, period=PERIOD)
            return [tuple(row) for row in table.rows], table.totals

    return make


def kes(text):
    return Decimal(text)


def test_takings_by_day_have_every_day_and_what_was_given_back_and_kept(report):
    rows, totals = report("takings-by-day")

    first, second = PERIOD.days
    assert rows == [
        (first, 3, kes("1750.50"), kes("500.00"), kes("8.25"), kes("1242.25")),
        (second, 1, kes("1000.00"), kes("0.00"), kes("5.50"), kes("994.50")),
    ]
    assert totals == ("Total", 4, kes("2750.50"), kes("500.00"), kes("13.75"), kes("2236.75"))


def test_takings_by_channel_add_up_to_the_same(report):
    rows, totals = report("takings-by-channel")

    assert rows == [
        ("=cmd 600101", 1, kes("250.50"), kes("0.00"), kes("0.00"), kes("250.50")),
        ("Shop 600100", 3, kes("2500.00"), kes("500.00"), kes("13.75"), kes("1986.25")),
    ]
    assert totals[1:] == (4, kes("2750.50"), kes("500.00"), kes("13.75"), kes("2236.75"))


def test_takings_by_program_name_it_and_say_when_there_is_none(report):
    rows, _ = report("takings-by-program")

    assert rows == [
        ("VIP", 2, kes("1500.00"), kes("500.00")),
        ("gone", 1, kes("1000.00"), kes("0.00")),
        ("No program", 1, kes("250.50"), kes("0.00")),
    ]


def test_takings_by_hour_are_of_kenyas_clock(report):
    rows, totals = report("takings-by-hour")

    assert len(rows) == 24
    assert [row for row in rows if row[1]] == [
        ("00:00", 1, kes("1000.00"), kes("0.00")),
        ("09:00", 2, kes("1250.50"), kes("0.00")),
        ("23:00", 1, kes("500.00"), kes("500.00")),
    ]
    assert totals == ("Total", 4, kes("2750.50"), kes("500.00"))


def test_each_environment_has_its_own_figures(report):
    assert report("takings-by-day", Environment.SANDBOX)[1][2] == kes("7777.00")
    assert report("takings-by-day", Environment.PRODUCTION)[1][2] == 0


def test_fees_are_for_who_may_see_payouts(report):
    rows, totals = report("fees", role=Role.MANAGER)

    assert rows == [
        ("=cmd 600101", kes("250.50"), kes("0.00"), kes("0.00"), kes("0.00"), kes("0.00")),
        ("Shop 600100", kes("2500.00"), kes("13.75"), kes("0.00"), kes("0.00"), kes("13.75")),
    ]
    assert totals[-1] == kes("13.75")
    with pytest.raises(NotPermitted):
        report("fees", role=Role.USER)


def test_fees_count_payouts_on_the_day_on_which_the_money_moved(shop, report):
    with tenant_context(shop):
        channel_id = Payment.objects.filter(receipt="THC0000000").values_list("channel_id", flat=True)[0]
        for number, (status, day, charge) in enumerate(
            [("SUCCEEDED", 0, "13.00"), ("SUCCEEDED", 1, None), ("SUCCEEDED", 2, "99.00"), ("FAILED", 0, None)]
        ):
            make_payout(channel_id, number, status=status, at=DAY + timedelta(days=day), charge=charge)

    rows, _ = report("fees")

    assert rows[1] == ("Shop 600100", kes("2500.00"), kes("13.75"), kes("2000.00"), kes("13.00"), kes("26.75"))


def make_payout(channel_id, number, *, status, at, charge):
    batch = PayoutBatch.objects.create(
        reference=f"Wages {number}",
        channel_id=channel_id,
        environment=Environment.PRACTICE,
        status=PayoutBatch.Status.FINISHED,
        payout_count=1,
        total_amount=1000,
        fee_estimate=13,
        created_by="somebody",
        released_at=at,
        expires_at=at,
        created_at=at,
    )
    Payout.objects.create(
        batch=batch,
        row=1,
        fee_estimate=13,
        created_at=at,
        channel_id=channel_id,
        environment=Environment.PRACTICE,
        kind=Payout.Kind.values[0],
        receiver="254712345126",
        amount=1000,
        status=status,
        charge=charge,
        finished_at=at,
        completed_at=at,
    )


def test_points_that_members_hold(shop, report):
    with tenant_context(shop):
        program = Program.objects.get(code="vip")
        for environment, code, points in [("PRACTICE", "A", 70), ("PRACTICE", "B", 0), ("SANDBOX", "C", 5)]:
            member = Member.objects.create(
                program=program, environment=environment, code=code, points_balance=points, joined_at=DAY
            )
        member = Member.objects.get(code="A")
        for kind, points, balance in [("ADJUST", 100, 100), ("REDEEM", -25, 75), ("ADJUST", -5, 70)]:
            PointsEntry.objects.create(
                member=member, kind=kind, points=points, balance_after=balance, note="x", created_at=timezone.now()
            )
            add_to_totals([Change(program.pk, "PRACTICE", kind, points)], now=timezone.now())

    past, _ = report("points-liability")
    assert past == [("VIP", 2, 70, 0, 0, 0, 0)]  # what is held is today's, what changed is the period's


def test_points_that_changed_in_the_period(shop, actor):
    now = timezone.now()
    with tenant_context(shop):
        member = Member.objects.create(
            program=Program.objects.get(code="vip"), environment="PRACTICE", code="A", points_balance=70, joined_at=DAY
        )
        for kind, points, balance in [("ADJUST", 100, 100), ("REDEEM", -25, 75), ("ADJUST", -5, 70)]:
            PointsEntry.objects.create(
                member=member, kind=kind, points=points, balance_after=balance, note="x", created_at=now
            )
            add_to_totals([Change(member.program_id, "PRACTICE", kind, points)], now=now)
        table = make_report(
            actor=actor(),
            name="points-liability",
            environment=Environment.PRACTICE,
            period=preset_period(Preset.LAST_7_DAYS, now=now),
        )

    assert list(table.rows) == [("VIP", 1, 70, 0, 25, 95, 0)]


# The page


def test_the_page_shows_chart_table_and_totals(shop, browser, member_of):
    answer = browser(member_of(shop, Role.USER)).get(f"/reports/takings-by-day/?{DAYS}")

    page, text = answer.content.decode(), text_of(answer)
    assert page.count('<rect class="bar-now"') == 2
    assert 'aria-label="Paid. Most: 3 Aug with KES 1,750.50. The table below has every figure."' in page
    assert "3 Aug 2026 3 KES 1,750.50 KES 500.00 KES 8.25 KES 1,242.25" in text
    assert "Total 4 KES 2,750.50 KES 500.00 KES 13.75 KES 2,236.75" in text


def test_charges_that_m_pesa_has_not_told_are_named_and_not_called_nothing(shop, browser, member_of):
    with tenant_context(shop):
        DayTotal.objects.update(charges=0)
    client = browser(member_of(shop))
    note = "M-PESA tells its charges later, and some never: what it has not told is in no sum."

    for name in ("takings-by-day", "takings-by-channel", "fees"):
        said = text_of(client.get(f"/reports/{name}/?{DAYS}"))
        assert note in said
        assert "harges, as far as told" in said.replace("Charges on payments", "Charges")
        assert note in words(printed(client, f"/reports/{name}/download/?type=pdf&{DAYS}").pages[0])
    assert note not in text_of(client.get(f"/reports/takings-by-hour/?{DAYS}"))
    by_day = client.get(f"/reports/takings-by-day/download/?type=xlsx&{DAYS}")
    heads = [cell.value for cell in openpyxl.load_workbook(io.BytesIO(by_day.content)).active[1]]
    assert heads[-2:] == ["M-PESA charges, as far as told", "Left over, as far as told"]


def test_fees_of_which_none_is_told_are_not_called_days_without_anything(shop, browser, member_of):
    with tenant_context(shop):
        DayTotal.objects.update(charges=0)
    client = browser(member_of(shop))

    said = text_of(client.get(f"/reports/fees/?{DAYS}"))
    assert "Total KES 2,750.50 KES 0.00" in said
    assert "Nothing in these days." not in said
    assert "Nothing in these days." in text_of(client.get("/reports/fees/?since=2026-01-01&until=2026-01-02"))


def test_a_period_that_can_not_be_is_refused_and_the_usual_one_is_shown(shop, browser, member_of):
    client = browser(member_of(shop))

    wrong = client.get("/reports/takings-by-day/?since=2026-08-04&until=2026-08-03")
    assert wrong.status_code == 400
    assert 'href="#id_until">The last day is before the first one.' in wrong.content.decode()
    assert 'value="2026-08-04"' in wrong.content.decode()
    unreadable = client.get("/reports/takings-by-day/?since=x&until=2026-08-03")
    assert (unreadable.status_code, "Enter a day like 2026-11-21." in unreadable.content.decode()) == (422, True)
    assert client.get("/reports/takings-by-day/?since=2020-01-01&until=2026-08-03").status_code == 400
    before = client.get("/reports/takings-by-day/?since=2006-01-01&until=2006-01-02").content.decode()
    assert "Enter a day from 1 Mar 2007 to " in before
    assert 'min="2007-03-01"' in before


def test_a_clerk_is_not_offered_fees_and_gets_none(shop, browser, member_of):
    clerk = browser(member_of(shop, Role.USER))

    assert "/reports/fees/" not in clerk.get("/reports/").content.decode()
    assert clerk.get("/reports/fees/").status_code == 403
    assert clerk.get("/reports/fees/download/").status_code == 403
    assert "/reports/fees/" in browser(member_of(shop)).get("/reports/").content.decode()
    assert browser(member_of(shop)).get("/reports/nothing/").status_code == 404


def test_the_rival_sees_its_own_nothing(shop, rival, browser, member_of):
    make_channel(rival, "600300")

    text = text_of(browser(member_of(rival)).get(f"/reports/takings-by-day/?{DAYS}"))

    assert "Total 0 KES 0.00" in text
    assert "1,750.50" not in text


# The files


def test_the_csv_has_plain_figures_and_no_formula(shop, browser, member_of):
    answer = browser(member_of(shop)).get(f"/reports/takings-by-channel/download/?type=csv&{DAYS}")

    assert answer["Content-Disposition"] == (
        'attachment; filename="takings-by-channel-practice-2026-08-03-2026-08-04.csv"'
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert lines[0] == [
        *("Channel", "Payments", "Paid", "Given back"),
        *("M-PESA charges, as far as told", "Left over, as far as told"),
    ]
    assert lines[1] == ["'=cmd 600101", "1", "250.50", "0.00", "0.00", "250.50"]
    assert lines[-1] == ["Total", "4", "2750.50", "500.00", "13.75", "2236.75"]


def test_the_xlsx_has_numbers_dates_and_no_formula(shop, browser, member_of):
    client = browser(member_of(shop))

    by_day = client.get(f"/reports/takings-by-day/download/?type=xlsx&{DAYS}")
    assert by_day["Content-Disposition"].endswith('.xlsx"')
    sheet = openpyxl.load_workbook(io.BytesIO(by_day.content)).active
    assert [cell.value for cell in sheet[2]] == [datetime(2026, 8, 3), 3, 1750.5, 500, 8.25, 1242.25]  # noqa: DTZ001
    by_channel = client.get(f"/reports/takings-by-channel/download/?type=xlsx&{DAYS}")
    cell = openpyxl.load_workbook(io.BytesIO(by_channel.content)).active["A2"]
    assert (cell.value, cell.data_type) == ("=cmd 600101", "s")


# Periods and bars


@pytest.mark.parametrize(
    ("preset", "first", "last"),
    [
        (Preset.TODAY, "2026-03-01", "2026-03-01"),
        (Preset.LAST_7_DAYS, "2026-02-23", "2026-03-01"),
        (Preset.LAST_30_DAYS, "2026-01-31", "2026-03-01"),
        (Preset.LAST_90_DAYS, "2025-12-02", "2026-03-01"),
        (Preset.THIS_MONTH, "2026-03-01", "2026-03-01"),
        (Preset.LAST_MONTH, "2026-02-01", "2026-02-28"),
    ],
)
def test_periods_by_name_follow_kenyas_clock(preset, first, last):
    late_in_february = datetime(2026, 2, 28, 21, 30, tzinfo=UTC)  # and already March in Nairobi

    period = preset_period(preset, now=late_in_february)
    assert (period.first.isoformat(), period.last.isoformat()) == (first, last)


def test_two_years_are_the_longest_period():
    first = DAY.date()

    assert len(read_period(first, first + timedelta(days=MOST_DAYS - 1)).days) == MOST_DAYS
    with pytest.raises(Invalid):
        read_period(first, first + timedelta(days=MOST_DAYS))
    with pytest.raises(Invalid):
        read_period(first, first - timedelta(days=1))


def table_of(*values):
    return ReportTable(
        title="A report",
        environment="PRACTICE",
        period=PERIOD,
        columns=(Column("Name"), Column("Paid", Kind.MONEY)),
        rows=[(f"Row {number}", Decimal(value)) for number, value in enumerate(values)],
        charted=1,
    )


def test_bars_stand_on_the_ground_in_proportion_and_inside():
    drawn = chart.draw(table_of("4310", "2155", "0", "-5"))

    heights = [Decimal(bar.height) for bar in drawn.bars]
    assert heights[0] == pytest.approx(heights[1] * 2, abs=Decimal("0.1"))
    assert heights[2:] == [0, 0]
    assert {Decimal(bar.y) + Decimal(bar.height) for bar in drawn.bars} == {Decimal("184.0")}
    assert all(0 <= Decimal(bar.x) <= chart.WIDTH - Decimal(bar.width) for bar in drawn.bars)
    assert [line.word for line in drawn.lines] == ["0", "2.5k", "5k"]


def test_two_years_of_bars_have_few_names():
    drawn = chart.draw(table_of(*range(MOST_DAYS)))

    assert len(drawn.bars) == MOST_DAYS
    assert drawn.outline.count("z") == MOST_DAYS  # one shape: nobody can point at a bar of half a pixel
    assert chart.draw(table_of(*range(31))).outline == ""
    assert len(drawn.names) <= 6


def test_nothing_is_not_drawn():
    assert chart.draw(table_of("0", "0")) is None
    assert chart.draw(table_of()) is None


def test_there_is_no_report_of_another_name(shop, actor):
    with tenant_context(shop), pytest.raises(NotFound):
        make_report(actor=actor(), name="secrets", environment=Environment.PRACTICE, period=PERIOD)


# On paper


def printed(client, path) -> PdfReader:
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    return PdfReader(io.BytesIO(answer.content), strict=True)


def words(page) -> str:
    return " ".join(page.extract_text().split())


def test_the_pdf_says_whose_it_is_which_days_and_every_figure(shop, browser, member_of):
    reader = printed(browser(member_of(shop)), f"/reports/takings-by-channel/download/?type=pdf&{DAYS}")

    [page] = reader.pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)  # A4 in points
    text = words(page)
    assert "Practice: no real money" in text
    assert "Acme Takings by channel 3 Aug 2026 – 4 Aug 2026, by Kenya's clock" in text
    assert "KES 2,750.50" in text  # above the table
    assert "=cmd 600101 1 250.50 0.00 0.00 250.50" in text
    assert "Total 4 2,750.50 500.00 13.75 2,236.75" in text
    assert re.search(r"Made by Tuzo on \d+ \w+ 20\d\d, \d\d:\d\d \(Nairobi\) ?Page 1 of 1", text)
    assert reader.metadata.title == "Takings by channel, Acme"


def test_a_long_pdf_repeats_the_headings_and_the_warning_and_counts_its_pages(shop, browser, member_of):
    path = "/reports/takings-by-day/download/?type=pdf&since=2026-05-01&until=2026-08-31"
    reader = printed(browser(member_of(shop)), path)

    pages = [words(page) for page in reader.pages]
    assert len(pages) > 2
    for number, text in enumerate(pages, start=1):
        assert "Day Payments Paid Given back M-PESA charges, " in text
        assert "Practice: no real money" in text
        assert f"Page {number} of {len(pages)}" in text
    days = re.findall(r"\d+ (?:May|Jun|Jul|Aug) 2026 \d+ ", " ".join(pages))
    assert len(days) == 31 + 30 + 31 + 31
    assert "Total 13 12,749.50 500.00 13.75 12,235.75" in pages[-1]


def test_live_money_has_no_warning_and_no_rows_is_still_a_page(shop, browser, member_of):
    make_channel(shop, "600900", environment=Environment.PRODUCTION)
    client = browser(member_of(shop))
    path = f"/reports/takings-by-program/download/?type=pdf&environment=production&{DAYS}"

    text = words(printed(client, path).pages[0])
    assert "no real money" not in text
    assert "Total 0 0.00 0.00" in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Mama Wanjikũ's Café", "Mama Wanjikũ's Café"),
        ("Mama Wanjiku\N{COMBINING TILDE} & Söhne", "Mama Wanjikũ & Söhne"),
        ("Duka 🛍️ la Ali", "Duka □ la Ali"),
        ("Ｆｕｌｌ 日本", "Full □□"),
        ("A" * 120, "AAAA"),
    ],
)
def test_a_pdf_can_be_made_for_every_name(shop, browser, member_of, name, shown):
    Tenant.objects.filter(pk=shop.pk).update(business_name=name)
    forget_hosts()

    text = words(printed(browser(member_of(shop)), f"/reports/fees/download/?type=pdf&{DAYS}").pages[0])
    assert shown in text


def test_a_pdf_speaks_the_readers_language_and_carries_the_logo(shop, browser, member_of):
    picture = io.BytesIO()
    Image.new("RGBA", (400, 160), "#0b6b3a80").save(picture, "PNG")
    Branding.objects.create(tenant=shop, logo=picture.getvalue(), logo_digest="0" * 16)
    place = member_of(shop)
    User.objects.filter(pk=place.user_id).update(language="sw")

    reader = printed(browser(place), f"/reports/takings-by-day/download/?type=pdf&{DAYS}")
    assert "3 Ago 2026" in words(reader.pages[0])
    assert len(reader.pages[0].images) == 1


def test_a_pdf_of_fees_is_not_for_clerks(shop, browser, member_of):
    assert browser(member_of(shop, Role.USER)).get("/reports/fees/download/?type=pdf").status_code == 403
