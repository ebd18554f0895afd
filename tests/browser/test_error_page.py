"""The page of an error in a browser; what the others say is in tests/integration/panel/test_error_pages.py."""

from tests.browser.panel import Panel


def test_it_fits_a_phone_and_has_its_styles(window: Panel, transactional_db: None) -> None:
    window.do(lambda page: page.set_viewport_size({"width": 390, "height": 844}))
    assert window.open("/nothing/") == 404
    assert window.do(lambda page: page.evaluate("() => document.documentElement.scrollWidth - innerWidth")) == 0
    # Its style sheets were found and let in: what the browser complained about is the page alone.
    assert window.do(lambda page: page.eval_on_selector("main", "main => getComputedStyle(main).borderRadius")) == "8px"
    assert all("/nothing/" in problem and "404" in problem for problem in window.problems), window.problems
