//! What happens is seen as it happens, and whoever reads is not disturbed.

use crate::{
    driver::Browser,
    row, texts, unblemished,
    world::{PRODUCTION, STAGING, World},
};
use std::{collections::BTreeSet, time::Duration};

/// Clones end within seconds.
pub(crate) const QUICK: &str = "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 24h, warnings: [5s], grace: 5s}";
/// The page asks every two seconds; a plan takes a moment.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_clone_that_ends_leaves_the_page_without_a_reload() {
    let world = World::start(QUICK);
    world.arrive(STAGING, "clone-soon", 15, false);
    world.arrive(PRODUCTION, "clone-stays", 3_600, false);
    let browser = Browser::start(1_400);
    browser.open(&world.page());
    let (soon, stays) = (row(STAGING, "clone-soon"), row(PRODUCTION, "clone-stays"));
    browser.until("both clones are there", SOON, &format!("return {soon} && {stays}?.querySelector('time[data-until]') ? true : false"));
    browser.run(&format!("window.mark = {stays}; window.cell = {stays}.querySelector('time[data-until]')"));

    // The countdown goes on by itself: each second, without another answer.
    let ticks = browser.run_async(
        "const seen = []; for (let i = 0; i < 40; i++) { seen.push(window.cell.textContent); await new Promise(r => setTimeout(r, 100)); } return seen",
    );
    let ticks = texts(&ticks);
    let different: BTreeSet<_> = ticks.iter().collect();
    assert!((4..=7).contains(&different.len()) && ticks.iter().all(|text| text.starts_with("in 59m")), "{ticks:?}");

    // Somebody reads on in it while it goes.
    browser.run(&format!("{soon}.querySelector('summary').focus()"));
    browser.until("its end is near", SOON, &format!("return {soon} === null || {soon}.querySelector('time.soon') !== null"));
    browser.until("it is gone", SOON * 2, &format!("return {soon} === null"));
    let same = browser
        .run(&format!("return window.mark?.isConnected && window.mark === {stays} && performance.getEntriesByType('navigation').length === 1"));
    assert_eq!(same, true, "the page was loaded again, or what had not changed was made anew");
    assert_eq!(browser.run("return document.activeElement.id"), "clones", "whoever was in it goes on among the clones");
    browser.until("what was done is told", SOON, "return document.querySelector('#actions').innerText.includes('clone-soon')");
    let link = browser.run("return document.querySelector('#link').textContent.trim()");
    assert_eq!(link, "Live");
    unblemished(&browser, &world.page());
}

#[test]
fn whoever_reads_is_not_disturbed_by_what_comes_in() {
    let world = World::start(QUICK);
    for number in 0..30 {
        world.arrive(STAGING, &format!("clone-{number:02}"), 3_600 + number, false);
    }
    let browser = Browser::start(1_000);
    browser.open(&world.page());
    browser.until("all clones are there", SOON, "return document.querySelectorAll('[data-clone]').length === 30");
    let first = row(STAGING, "clone-00");
    browser.run(&format!(
        "const details = {first}.querySelector('details'); details.open = true; window.details = details;
         const box = document.querySelector('input[name=q]'); box.focus(); box.value = 'half a word'; box.setSelectionRange(5, 6); window.box = box;
         window.scrollTo(0, 300); window.top_ = window.scrollY"
    ));
    world.arrive(STAGING, "clone-late", 80_000, false);
    browser.until("the new one is there", SOON, &format!("return {} !== null", row(STAGING, "clone-late")));
    let state = browser.run(
        "return [window.details.isConnected && window.details.open, document.activeElement === window.box, window.box.value,
                 window.box.selectionStart, window.box.selectionEnd, window.scrollY === window.top_ && window.scrollY > 0]",
    );
    assert_eq!(state, serde_json::json!([true, true, "half a word", 5, 6, true]));
    // A row that has the focus in it and stays keeps it, too, while others go.
    browser.run(&format!("window.fold = {}.querySelector('summary'); window.fold.focus()", row(STAGING, "clone-07")));
    world.annotate(STAGING, "clone-06", "clonewarden.io/keep", "true");
    browser.until("it is seen to be kept", SOON, &format!("return {}.innerText.includes('kept')", row(STAGING, "clone-06")));
    assert_eq!(browser.run("return document.activeElement === window.fold"), true);
    unblemished(&browser, &world.page());
}

#[test]
fn it_works_with_scripts_off() {
    let world = World::start(QUICK);
    world.arrive(STAGING, "clone-one", 3_600, false);
    let browser = Browser::start(1_000);
    browser.without_scripts();
    browser.open(&world.page());
    browser.until("the clone is there", SOON * 2, &format!("return {} !== null", row(STAGING, "clone-one")));
    let (end, fold) =
        ("return document.querySelector('[data-clone] time[data-until]').textContent", "return document.querySelector('#link').textContent");
    assert!(browser.run(end).as_str().unwrap().starts_with("in 59m"));
    assert!(browser.run(fold).as_str().unwrap().starts_with("Planned "), "it does not claim to be live");
    world.arrive(STAGING, "clone-two", 3_600, false);
    browser.until("it loads itself again", SOON * 2, &format!("return {} !== null", row(STAGING, "clone-two")));
    // The filter is a form, and needs nothing either.
    browser.open(&format!("{}?q=clone-two", world.page()));
    assert_eq!(browser.run("return document.querySelectorAll('[data-clone]').length"), 1);
    unblemished(&browser, &world.page());
}
