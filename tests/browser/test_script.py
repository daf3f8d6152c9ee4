"""What the script does to forms: sent once, but for those that are answered by a file."""

from tenants.models import Role
from tests.browser.visit import Visit


def test_a_form_that_is_answered_by_a_file_can_be_sent_again(chromium, house):
    visit = Visit(chromium, width=1280)
    visit.page.goto(house.step_into(house.cast.places[Role.ORG_ADMIN]))
    visit.page.goto(f"{house.business}/payments/")

    for ending in ("CSV", "XLSX", "CSV"):
        with visit.page.expect_download() as given:
            visit.page.get_by_role("button", name=ending).click()
        assert given.value.suggested_filename.endswith(ending.lower())
    visit.close()


def test_a_form_that_is_on_its_way_is_not_sent_twice(chromium, house):
    visit = Visit(chromium, width=1280)
    visit.page.goto(house.step_into(house.cast.places[Role.ORG_ADMIN]))
    visit.page.goto(f"{house.business}/settings/")

    sent = visit.page.locator("main form").first.evaluate("""(form) => [1, 2].map(() =>
      form.dispatchEvent(new SubmitEvent("submit", { bubbles: true, cancelable: true })))""")

    assert sent == [True, False]
    visit.close()
