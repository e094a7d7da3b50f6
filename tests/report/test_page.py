"""The page in a browser. Skipped without matplotlib, selenium, Chromium and its driver."""

import random

import pytest
from support.browser import requests, show_as
from support.judged_docs import judged, spoil

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return Array.from(canvas.getImageData(0, 0, 1, 1).data);
}
function luminance(colour) {
  const parts = colour.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}
function behind(element) {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, [r, g, b, a]) =>
    [r, g, b].map((c, k) => c * a / 255 + under[k] * (1 - a / 255)), [255, 255, 255]);
}
const worst = [];
for (const element of document.body.querySelectorAll('*')) {
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  const style = getComputedStyle(element);
  const ink = rgba(element.closest('svg') ? style.fill : style.color).slice(0, 3);
  const [one, two] = [luminance(ink), luminance(behind(element))];
  worst.push([(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.textContent.slice(0, 40)]);
}
return worst.sort((a, b) => a[0] - b[0]).slice(0, 5);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from spacy_lstm_ner.report.figures import compare, compare_data, compute, training_curves
    from spacy_lstm_ner.report.judge import Judgement
    from spacy_lstm_ner.report.write import write_report
    from spacy_lstm_ner.training.review import Doubt

    source, words = random.Random(0), ["Zoë", "<b>", "of", "Internationalization", "&amp;", "met", "東京", "x" * 60]
    gold = [(0, 1, "PER"), (2, 4, "A_LONG_NAME_OF_A_TYPE"), (6, 7, "LOC")]
    docs = [judged(words * 3, gold) for _ in range(60)]
    first, second = (Judgement([spoil(doc, source) for doc in docs]) for _ in range(2))
    first.doubts = [Doubt(0, [(0, 1, "PER")], [], 0.9)]
    figures = {"model": "m 0.0", "data": "d", **compute(first), "reviewed": True, "notes": ["A note."]}
    figures["guarantees"] = {}
    scores = {"ents_p": 0.9, "ents_r": 0.7, "ents_f": 0.79}
    row = {"losses": {"tok2vec": 9.0, "ner": 5.0}, "score": 0.79, "scores": scores}
    figures["training"] = training_curves([{"step": step, "words": 9 * step + 9, **row} for step in range(60)])
    figures["other"] = {"first": "m", "second": "n", **compare(first, second, 20, 100, 0)}
    other = compare_data(first, Judgement(second.docs[:20]), None, 100, 0)
    figures["other_data"] = {"data": "e", "notes": ["A note."], **other}
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, figures)
    return f"file://{folder / 'report.html'}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_legible_and_asks_nobody(browser, page, width, scheme):
    show_as(browser, width, scheme)
    browser.get(page)
    assert requests(browser) == [page]
    assert browser.get_log("browser") == []
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    # The page itself is not wider than the window; wide tables scroll in their own boxes.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    figures = browser.find_elements("css selector", "figure[role=img][aria-label] svg")
    assert len(figures) == 5 and all(figure.size["width"] > 300 and figure.size["height"] > 80 for figure in figures)
    ratio, text = browser.execute_script(CONTRASTS)[0]
    assert ratio >= 4.5, text
    heights = browser.execute_script(
        "return [...document.querySelectorAll('figure text')].map((text) => text.getBoundingClientRect().height)"
    )
    assert min(heights) >= 9


def test_the_keyboard_reaches_links_tables_and_lists(browser, page):
    browser.get(page)
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    reached = set()
    for _ in range(60):
        element = browser.switch_to.active_element
        reached.add(element.tag_name)
        if element.tag_name == "summary" and element.find_element("xpath", "..").get_attribute("open") is None:
            element.send_keys(keys.ENTER)
            assert element.find_element("xpath", "..").get_attribute("open") is not None
            break
        element.send_keys(keys.TAB)
    else:
        raise AssertionError("no closed list was reached")
    assert {"a", "div", "summary"} <= reached
