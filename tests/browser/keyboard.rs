//! The page without a mouse.

use crate::{
    driver::Browser,
    live::{QUICK, SOON},
    row, unblemished,
    world::{PRODUCTION, STAGING, World},
};
use serde_json::{Value, json};

/// Keys, as WebDriver calls them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

/// What has the focus: what it is, whether it is seen, whether that is shown, and whether it comes after what had it before.
const FOCUSED: &str = "
    const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
    const before = window.before; window.before = at;
    return {
        tag: at.tagName, text: at.textContent.trim().slice(0, 40), name: at.name ?? '',
        seen: box.width > 0 && box.height > 0 && box.left >= 0 && box.right <= innerWidth + 1 && box.bottom > 0 && box.top < innerHeight,
        shown: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        after: !before || Boolean(before.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING),
    }";

#[test]
fn everything_is_reached_in_order_and_the_focus_is_seen() {
    let world = World::start(QUICK);
    world.arrive(STAGING, "clone-one", 3_600, false);
    world.arrive(PRODUCTION, "clone-two", 7_200, true);
    let browser = Browser::start(1_400);
    browser.open(&world.page());
    browser.until("both clones are there", SOON, "return document.querySelectorAll('[data-clone]').length === 2");
    let mut all: Vec<Value> = Vec::new();
    loop {
        browser.press(TAB);
        let now = browser.run(FOCUSED);
        if now["tag"] == "BODY" {
            break;
        }
        assert!(now["seen"] == true && now["shown"] == true && now["after"] == true, "after {:?}: {now}", all.last());
        all.push(now);
        assert!(all.len() < 100, "it never ends: {all:?}");
    }
    let place = |what: &dyn Fn(&Value) -> bool| all.iter().position(what).unwrap_or_else(|| panic!("not reached: {all:?}"));
    let skip = place(&|one| one["text"].as_str().unwrap().starts_with("Skip"));
    let (namespace, find) = (place(&|one| one["name"] == "namespace"), place(&|one| one["name"] == "q"));
    let (fold, json) = (place(&|one| one["tag"] == "SUMMARY"), place(&|one| one["text"] == "/view/v1"));
    assert!(skip == 0 && [skip, namespace, find, json].is_sorted() && fold < json, "{all:?}");
    unblemished(&browser, &world.page());
}

#[test]
fn the_skip_link_skips_and_what_is_folded_unfolds() {
    let world = World::start(QUICK);
    world.arrive(STAGING, "clone-one", 3_600, false);
    let browser = Browser::start(1_400);
    browser.open(&world.page());
    let one = row(STAGING, "clone-one");
    browser.until("the clone is there", SOON, &format!("return {one} !== null"));
    let hidden = browser.run("return document.querySelector('.skip').getBoundingClientRect().right <= 0");
    assert_eq!(hidden, true, "until it is wanted it is out of sight");
    browser.press(TAB);
    browser.press(ENTER);
    assert_eq!(browser.run("return [location.hash, document.activeElement.id]"), json!(["#clones", "clones"]));
    let unseen = browser.run(
        "return document.querySelector('#clones h2').getBoundingClientRect().top < document.querySelector('#head').getBoundingClientRect().bottom",
    );
    assert_eq!(unseen, false, "what was skipped to lies under the head of the page");
    let summary = format!("{one}.querySelector('summary')");
    browser.run(&format!("{summary}.focus()"));
    for (key, open) in [(ENTER, true), (SPACE, false)] {
        browser.press(key);
        assert_eq!(browser.run(&format!("return {one}.querySelector('details').open")), open);
    }
    unblemished(&browser, &world.page());
}
