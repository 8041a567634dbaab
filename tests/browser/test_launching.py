"""Launching, watching and stopping on the web pages, with a real agent behind them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.accounts import Accounts
from tests.support.browsers import Visitor
from tests.support.gate import Gate
from tests.support.server import Account, running_server
from tests.support.testbed import QUEUE, Testbed, make_testbed
from tests.support.waiting import patience

ROLES: tuple[Literal["textbox", "spinbutton", "combobox"], ...] = ("textbox", "spinbutton", "combobox")


@pytest.fixture
def testbed(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("bed"), account) as opened:
        opened.client.create_queue(opened.entity, "by-hand")
        yield opened


def long() -> float:
    """How long a job may take, in milliseconds."""
    return patience(30) * 1000


def queue_page(visitor: Visitor, testbed: Testbed, queue: str = QUEUE) -> Page:
    """The page of a queue, of a user who has signed in."""
    page = visitor.sign_in(testbed.server.key)
    page.get_by_role("link", name=queue).click()
    page.get_by_role("heading", name=f"Queue {queue}").wait_for()
    return page


def launch(page: Page, **fields: str) -> None:
    """Fill in the form by its labels, and send it."""
    page.get_by_text("Launch into this queue").click()
    for label, value in fields.items():
        text, number, choice = (page.get_by_role(role, name=label, exact=True) for role in ROLES)
        field = text.or_(number).or_(choice)
        if field.evaluate("node => node.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Launch").click()


def state_of(page: Page) -> Locator:
    return page.locator("h1 .state")


def test_a_command_is_launched_and_its_output_read_as_it_comes(visitor: Visitor, testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    page = queue_page(visitor, testbed)
    launch(page, What="A command of the host", Command=f"sh -c 'echo begun; {gate.wait}; echo over'", Name="by hand")
    page.get_by_role("link", name="item ").click()
    expect(state_of(page)).to_have_text("running", timeout=long())
    output = page.locator("pre.output")
    expect(output).to_have_text("begun\n", timeout=long())
    gate.open()
    expect(state_of(page)).to_have_text("finished", timeout=long())
    expect(output).to_have_text("begun\nover\n")
    expect(page.get_by_text("That is all of it.")).to_be_visible()
    assert page.get_by_role("button", name="Stop").count() == 0


def test_a_job_is_stopped_after_a_question(visitor: Visitor, testbed: Testbed) -> None:
    testbed.start_agent()
    item = testbed.push("sleep", "600")
    page = visitor.sign_in(testbed.server.key, f"/{testbed.entity}/launch/items/{item}")
    expect(state_of(page)).to_have_text("running", timeout=long())
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop it").click()
    expect(state_of(page)).to_have_text("stopped", timeout=long())
    assert testbed.wait_over([item])[0].stop_reason == "asked for on the web page"


def test_a_failure_says_why_and_is_launched_again(visitor: Visitor, testbed: Testbed) -> None:
    testbed.start_agent()
    item = testbed.push("sh", "-c", "exit 3", name="third")
    testbed.wait_over([item])
    page = visitor.sign_in(testbed.server.key, f"/{testbed.entity}/launch/items/{item}")
    expect(page.get_by_role("list", name="Why")).to_contain_text("with exit code 3")
    page.get_by_role("button", name="Launch again").click()
    page.get_by_role("link", name="item ").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("third")
    assert item not in page.url
    expect(state_of(page)).to_have_text("failed", timeout=long())


def test_a_waiting_item_says_why_and_a_paused_queue_says_by_whom(visitor: Visitor, testbed: Testbed) -> None:
    item = testbed.push("true")
    page = queue_page(visitor, testbed)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(f"paused by {testbed.entity}")).to_be_visible()
    queue = page.url
    visitor.open(f"/{testbed.entity}/launch/items/{item}")
    expect(page.get_by_role("list", name="Why")).to_contain_text("was paused by")
    visitor.open(urlsplit(queue).path)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("paused by")).to_have_count(0)
    visitor.open(f"/{testbed.entity}/launch/items/{item}")
    expect(page.get_by_role("list", name="Why")).to_contain_text("No living agent serves queue")


def test_what_a_submitter_enters_becomes_the_run_spec(visitor: Visitor, testbed: Testbed) -> None:
    page = queue_page(visitor, testbed, "by-hand")
    launch(
        page,
        **{
            "What": "Git repository",
            "Git repository": "https://git.example.org/team/train.git",
            "Branch, tag or commit": "v2",
            "Command": "python 'my train.py'",
            "Arguments": '--lr 0.1 --name "a b"',
            "Project": "tests",
            "GPUs": "2",
            "Configuration of the run, as JSON": '{"lr": 0.1}',
        },
    )
    page.get_by_role("link", name="item ").wait_for()
    (item,) = testbed.client.queue_items(testbed.entity, "by-hand", 10)
    spec = item.run_spec or {}
    assert spec["git"] == {"repo": "https://git.example.org/team/train.git", "version": "v2"}
    assert spec["overrides"] == {
        "entry_point": ["python", "my train.py"],
        "args": ["--lr", "0.1", "--name", "a b"],
        "run_config": {"lr": 0.1},
    }
    assert spec["resource_args"] == {"local-process": {"launchd": {"gpus": 2}}}
    assert (spec["project"], spec["entity"], spec["author"]) == ("tests", testbed.entity, testbed.entity)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"Command": "sh -c 'echo"}, "a quote is not closed"),
        ({"Command": "true", "Configuration of the run, as JSON": "[1]"}, "must be an object of JSON"),
        ({"Command": "true", "Configuration of the run, as JSON": "{"}, "is no JSON"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_pushed(
    visitor: Visitor, testbed: Testbed, fields: dict[str, str], sentence: str
) -> None:
    page = queue_page(visitor, testbed, "by-hand")
    launch(page, **fields)
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    assert testbed.client.queue_items(testbed.entity, "by-hand", 10) == []


def test_template_variables_are_asked_for_and_priorities_chosen(visitor: Visitor, testbed: Testbed) -> None:
    variables = {"size": {"schema": {"type": "string", "enum": ["small", "large"], "default": "small"}}}
    testbed.client.create_queue(testbed.entity, "sized", config={"note": "{{size}}"}, template_variables=variables)
    page = queue_page(visitor, testbed, "sized")
    launch(page, Command="true", size="large", Priority="high")
    page.get_by_role("link", name="item ").wait_for()
    (item,) = testbed.client.queue_items(testbed.entity, "sized", 10)
    assert item.priority == 1
    assert (item.run_spec or {})["resource_args"]["local-process"]["note"] == "large"


def test_who_may_only_read_is_offered_no_change(visitor: Visitor, accounts: Accounts) -> None:
    owner, api = accounts.user()
    team = accounts.team(owner)
    api.mutate(
        "createRunQueue", "queueID", entityName=team, projectName="model-registry", queueName="shared", access="PROJECT"
    )
    spec = '{"name": "theirs", "overrides": {"entry_point": ["true"]}}'
    names = {"entityName": team, "projectName": "model-registry", "queueName": "shared"}
    api.mutate("pushToRunQueueByName", "runQueueItemId", runSpec=spec, **names)
    _, looking = accounts.member(team, "VIEWER")
    page = visitor.sign_in(looking.key, f"/{team}/launch")
    page.get_by_role("link", name="shared").click()
    page.get_by_role("heading", name="Items").wait_for()
    assert page.get_by_role("button", name="Pause").count() == 0
    assert page.get_by_text("Launch into this queue").count() == 0
    page.get_by_role("link", name="theirs").click()
    page.get_by_role("heading", name="Output").wait_for()
    assert page.get_by_role("button", name="Stop").count() == 0


def test_what_another_owns_is_not_there(visitor: Visitor, testbed: Testbed, accounts: Accounts) -> None:
    item = testbed.push("true", name="hidden")
    _, stranger = accounts.user()
    page = visitor.sign_in(stranger.key, f"/{testbed.entity}/launch/items/{item}")
    expect(page.get_by_text(f"There is no item {item} that you may see.")).to_be_visible()
    assert "hidden" not in page.content()


def test_names_and_output_of_a_submitter_are_shown_as_text(visitor: Visitor, testbed: Testbed) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\">"
    testbed.start_agent()
    item = testbed.push("sh", "-c", f"printf '%s\\033[31m!\\033[0m\\n' '{hostile}'", name=hostile)
    testbed.wait_over([item])
    page = queue_page(visitor, testbed)
    page.get_by_role("link", name=hostile).click()
    expect(page.locator("pre.output")).to_have_text(f"{hostile.replace(chr(39), '')}!\n")
    assert page.title() == f"{hostile} · launchd"
    assert page.locator("img").count() == 0


def test_a_page_says_that_its_server_is_away_and_goes_on_when_it_is_back(visitor: Visitor, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        visitor.url = server.url
        page = visitor.sign_in(server.key)
        page.get_by_role("heading", name="Agents").wait_for()
        server.kill()
        expect(page.get_by_role("alert").first).to_contain_text("The queue server does not answer.", timeout=long())
        server.start()
        expect(page.get_by_role("alert")).to_have_count(0, timeout=long())


def test_long_output_is_shown_to_its_end_and_the_page_says_that_there_was_more(
    visitor: Visitor, testbed: Testbed
) -> None:
    testbed.start_agent()
    item = testbed.push(sys.executable, "-c", "print('x' * 700_000, 'is one line', end='')")
    testbed.wait_over([item])
    page = visitor.sign_in(testbed.server.key, f"/{testbed.entity}/launch/items/{item}")
    expect(page.locator("pre.output")).to_have_text(re.compile("^x{499988} is one line$"), timeout=long())
    expect(page.get_by_text("The page keeps the end of long output")).to_be_visible()


def test_a_control_sequence_in_two_pieces_is_not_shown(visitor: Visitor, testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = testbed.push("sh", "-c", f"printf 'red: \\033[3'; {gate.wait}; printf '1mover\\033[0m\\n'")
    page = visitor.sign_in(testbed.server.key, f"/{testbed.entity}/launch/items/{item}")
    expect(page.locator("pre.output")).to_have_text("red: ", timeout=long())
    gate.open()
    expect(page.locator("pre.output")).to_have_text("red: over\n", timeout=long())


def test_a_queue_is_found_by_its_name_too(visitor: Visitor, testbed: Testbed) -> None:
    page = visitor.sign_in(testbed.server.key, f"/{testbed.entity}/launch/by-hand")
    expect(page.get_by_role("heading", name="Queue by-hand")).to_be_visible()


def test_nothing_is_wider_than_a_telephone(visitor: Visitor, testbed: Testbed) -> None:
    name = "q" * 64
    testbed.client.create_queue(testbed.entity, name)
    item = testbed.client.push(testbed.entity, name, {"overrides": {"entry_point": ["true"]}})
    page = visitor.sign_in(testbed.server.key)
    page.set_viewport_size({"width": 360, "height": 700})
    for path in ("launch/" + "x" * 64, f"launch/{name}", f"launch/items/{item}", "z" * 100):
        visitor.open(f"/{testbed.entity}/{path}")
        page.locator("main .error, main h1 + *").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
