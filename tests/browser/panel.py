"""The panel in a real browser, as an operator uses it.

Playwright's synchronous API keeps an event loop running in its thread, which neither the ORM nor the asynchronous tests
of other rooms may meet: everything of Playwright stays in one thread of its own.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, ViewportSize, sync_playwright

T = TypeVar("T")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# No sandbox: containers run as root. The rest keeps a test's browser from talking to its maker.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWPORT: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
# A busy machine takes its time over a page; pytest-timeout ends what hangs.
PATIENCE_SECONDS = 200
# What sticks out of a page to the right, and cells of a list whose text is cut off.
DOES_NOT_FIT = """() => {
    const edge = document.documentElement.clientWidth;
    const wide = document.documentElement.scrollWidth > edge
        ? [...document.body.querySelectorAll("*")].filter(node => node.getBoundingClientRect().right > edge + 1) : [];
    const cells = [...document.querySelectorAll("#result_list tbody :is(th, td)")];
    const cut = cells.filter(cell => cell.scrollHeight > cell.clientHeight + 1);
    return [...wide.slice(-2), ...cut.slice(0, 2)].map(node => node.outerHTML.slice(0, 200));
}"""


class Chromium:
    """One browser for all tests, in its own thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playwright")
        self._playwright = self.do(lambda: sync_playwright().start())
        self._browser = self.do(lambda: self._playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS))

    def do(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result(timeout=PATIENCE_SECONDS + 30)

    @contextmanager
    def window(self, address: str) -> Iterator["Panel"]:
        context = self.do(lambda: self._browser.new_context(viewport=VIEWPORT, locale="en-GB"))
        self.do(lambda: context.set_default_timeout(PATIENCE_SECONDS * 1000))
        panel = Panel(self, context, address)
        yield panel
        self.do(context.close)

    def close(self) -> None:
        self.do(self._browser.close)
        self.do(self._playwright.stop)
        self._thread.shutdown()


@dataclass
class Panel:
    """A window on the panel. `problems` collects what the browser complained about."""

    chromium: Chromium
    context: BrowserContext
    address: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page: Page = self.do(lambda _: self.context.new_page())
        self.do(lambda page: page.on("console", self._console))
        self.do(lambda page: page.on("pageerror", lambda error: self.problems.append(str(error))))
        self.do(lambda page: page.on("response", self._response))

    def do(self, work: Callable[[Any], T]) -> T:
        """Run `work(page)` in Playwright's thread."""
        return self.chromium.do(lambda: work(getattr(self, "page", None)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{self.page.url}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} {response.url}")

    def use_session(self, key: str) -> None:
        """Be logged in, without the form."""
        self.do(lambda _: self.context.add_cookies([{"name": "sessionid", "value": key, "url": self.address}]))

    def open(self, path: str) -> int:
        """Go to a page of the panel; its HTTP status."""
        response: Response = self.do(lambda page: page.goto(self.address + path, wait_until="load"))
        return response.status

    @property
    def path(self) -> str:
        return self.do(lambda page: page.url.removeprefix(self.address))

    @property
    def text(self) -> str:
        return self.do(lambda page: page.inner_text("body"))

    @property
    def html(self) -> str:
        return self.do(lambda page: page.content())

    def fill(self, selector: str, text: str) -> None:
        self.do(lambda page: page.fill(selector, text))

    def value(self, selector: str) -> str:
        return self.do(lambda page: page.input_value(selector))

    def click(self, selector: str) -> None:
        self.do(lambda page: page.click(selector))

    def submit(self, selector: str) -> None:
        """Click what leads to another page, and wait for it."""

        def click(page: Page) -> None:
            with page.expect_navigation(wait_until="load"):
                page.click(selector)

        self.do(click)

    def enter(self, selector: str, text: str) -> None:
        """Fill in the field of a form, press Enter there, and wait for the page that it leads to."""

        def press(page: Page) -> None:
            page.fill(selector, text)
            with page.expect_navigation(wait_until="load"):
                page.press(selector, "Enter")

        self.do(press)

    def press(self, label: str) -> None:
        """Click the button or link of an operation."""
        self.submit(f'.panel-operations :is(a, button):has-text("{label}")')

    def offers(self) -> list[str]:
        """The operations that the page offers, without the names of their icons."""
        script = (
            "nodes => nodes.map(node => { const copy = node.cloneNode(true);"
            " copy.querySelectorAll('.material-symbols-outlined').forEach(icon => icon.remove());"
            " return copy.textContent.trim(); })"
        )
        return self.do(lambda page: page.eval_on_selector_all(".panel-operations :is(a, button)", script))

    def rows(self) -> int:
        return self.do(lambda page: page.locator("#result_list tbody tr").count())

    def does_not_fit_on_a_phone(self) -> list[str]:
        """What of this page a telephone would not show, as HTML."""

        def look(page: Page) -> list[str]:
            page.set_viewport_size(PHONE)
            found: list[str] = page.evaluate(DOES_NOT_FIT)
            page.set_viewport_size(VIEWPORT)
            return found

        return self.do(look)

    def screenshot(self, path: str) -> None:
        self.do(lambda page: page.screenshot(path=path))
