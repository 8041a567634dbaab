"""Signing in on the web pages, what a browser keeps of it, and what the server's pages are made safe by."""

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.support.browsers import Visitor
from tests.support.server import Account


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("x" * 40, "This server does not know the key."), ("\u00fc\u4e16", "An API key has letters and digits alone.")],
)
def test_a_wrong_key_is_refused_in_a_sentence(visitor: Visitor, key: str, sentence: str) -> None:
    page = visitor.open()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(sentence)
    # What an empty page says stands only where the scripts are missing.
    assert page.get_by_text("Loading").count() == 0


def test_a_user_signs_in_where_a_link_led_and_is_not_asked_again(visitor: Visitor, account: Account) -> None:
    path = f"/{account.entity}/launch"
    page = visitor.sign_in(account.key, path)
    expect(page.get_by_role("heading", level=1)).to_have_text(account.entity)
    visitor.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(account.entity)
    assert page.url == f"{visitor.url}{path}"


def test_the_address_of_the_server_leads_to_the_users_queues(visitor: Visitor, account: Account) -> None:
    page = visitor.sign_in(account.key)
    page.wait_for_url(f"{visitor.url}/{account.entity}/launch")


def test_no_cookie_carries_the_key_to_other_ports_of_the_host(visitor: Visitor, account: Account) -> None:
    page = visitor.sign_in(account.key)
    page.get_by_role("heading", level=2, name="Agents").wait_for()
    assert visitor.context.cookies() == []
    assert account.key not in page.content() + page.url


def test_a_key_is_kept_for_a_tab_and_for_longer_where_that_is_wished(visit: Visit, account: Account) -> None:
    passing, staying = visit(), visit()
    passing.sign_in(account.key)
    page = staying.open()
    page.get_by_label("Stay signed in on this computer").check()
    page.get_by_label("API key").fill(account.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    for visitor, wish in ((passing, "Sign in"), (staying, "Sign out")):
        tab = visitor.page = visitor.new_tab()
        visitor.open()
        expect(tab.get_by_role("button", name=wish)).to_be_visible()


def test_who_signs_out_leaves_no_key_behind(visitor: Visitor, account: Account) -> None:
    page = visitor.sign_in(account.key)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])") == "[{},{}]"
    visitor.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_key_that_is_revoked_meanwhile_signs_its_user_out(visitor: Visitor, account: Account) -> None:
    with account.api() as api:
        made = api.mutate("generateApiKey", "key apiKey { id }")
        page = visitor.sign_in(made["key"])
        api.mutate("deleteApiKey", "success", id=made["apiKey"]["id"])
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_user_makes_a_key_and_revokes_it(visit: Visit, account: Account) -> None:
    page = visit().sign_in(account.key, "/authorize")
    page.get_by_text("Make a key").first.click()
    page.get_by_label("What it is for").fill("my laptop")
    page.get_by_role("button", name="Make a key").click()
    made = page.locator("p.done code").inner_text()
    visit().sign_in(made)
    row = page.get_by_role("row", name="my laptop")
    row.get_by_role("button", name="Revoke").click()
    row.get_by_role("button", name="Revoke it").click()
    expect(row).to_have_count(0)
    asked = requests.post(
        f"{account.url}/graphql", json={"query": "{ viewer { name } }"}, auth=("api", made), timeout=10
    )
    assert asked.status_code == 401


def test_where_there_is_no_page_a_person_is_told_so_and_a_program_in_json(visitor: Visitor, account: Account) -> None:
    page = visitor.sign_in(account.key, "/no/such/page/at/all")
    expect(page.get_by_text("There is no page at /no/such/page/at/all.")).to_be_visible()
    answers = [
        requests.get(f"{account.url}/no/such/page/at/all", headers={"Accept": accept}, timeout=10)
        for accept in ("text/html,*/*", "application/json")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert [answer.headers["Content-Type"].partition(";")[0] for answer in answers] == ["text/html", "application/json"]
