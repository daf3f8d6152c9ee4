"""What newcomers meet on the way: their mistakes, menus, colours and languages."""

from tests.browser.visit import Visit


def fill(page, slug):
    page.get_by_label("What is your business called?").fill(f"Duka {slug}")
    page.get_by_label("Your name").fill("Wanjiku Kamau")
    page.get_by_label("Your phone number").fill("0712 345 678")
    page.get_by_label("E-mail address").fill(f"{slug}@duka.example")
    page.get_by_label("A password").fill("a long pass phrase")


def test_a_form_with_a_mistake_takes_the_keyboard_to_it(chromium, house):
    visit = Visit(chromium)
    page = visit.page
    page.goto(f"{house.platform}/sign-up/")
    fill(page, "tatu")
    page.get_by_label("Your phone number").fill("12")
    page.keyboard.press("Enter")

    summary = page.get_by_role("alert")
    summary.wait_for()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "id_phone"
    assert page.get_by_label("What is your business called?").input_value() == "Duka tatu"
    visit.close()


def test_a_menu_opens_and_closes_by_keyboard_and_the_theme_follows(chromium, house):
    visit = Visit(chromium)
    page = visit.page
    page.goto(house.platform)
    page.get_by_role("button", name="Dark").press("Enter")
    page.wait_for_load_state()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Kiswahili").press("Enter")
    page.wait_for_load_state()
    assert page.locator("html").get_attribute("lang") == "sw"
    assert visit.look_around() == []
    visit.close()
