//! How the page looks in each of its states: narrow and wide, dark and light, and to a checker of accessibility.

use crate::{
    driver::{Browser, STRANGER},
    live::{QUICK, SOON},
    unblemished,
    world::{PRODUCTION, STAGING, World},
};
use clonewarden::model::names;
use serde_json::{Value, json};

/// What both policies say where there is something to see: caps and a budget beside quick ends.
const RICH: &str = "limits: {clones: 30}\nbudget: {monthly: \"45.00\"}\nbrake: {deletes: 1}";
/// Every clone is past its end, and announced so with a grace: nobody was told before.
const TIGHT: &str = "mode: enforce\nttl: {minimum: 5s, default: 5s, maximum: 5s, warnings: [], grace: 20s}";
/// Nothing ends for hours, and nothing that was left behind goes.
const LASTING: &str = "mode: enforce\norphans: {soak: 7d}";
/// A name as long as names may be, and another one that no line can break.
const LONG: &str = "clone-of-a-customer-whose-name-is-as-long-as-kubernetes-allows";

/// Clones of every sort.
pub(crate) fn crowded() -> World {
    let world = World::start(&format!("{QUICK}\n{RICH}"));
    for number in 0..8 {
        world.arrive(STAGING, &format!("clone-{number}"), 1_200 + 600 * number, false);
    }
    world.arrive(STAGING, LONG, 5_000, false);
    for (number, name) in ["shop", "blog", "press"].into_iter().enumerate() {
        world.arrive(PRODUCTION, name, 7_200, number > 0);
    }
    world.annotate(PRODUCTION, "shop", names::KEEP, "true");
    world.annotate(STAGING, "clone-3", names::EXTEND_UNTIL, "next tuesday");
    world
}

/// The states of the page, each with a script that says whether it is shown.
const STATES: [(&str, &str); 6] = [
    ("empty", "return document.querySelector('#clones .empty') !== null && document.querySelector('.tag-acting') !== null"),
    ("full", "return document.querySelectorAll('[data-clone]').length === 12"),
    ("paused", "return document.querySelector('#banner-paused') !== null"),
    ("braked", "return document.querySelector('#banners').innerText.includes('Brake on')"),
    ("holding", "return document.querySelectorAll('#holds details').length > 0"),
    ("orphaned", "return document.querySelectorAll('#orphans [data-orphan]').length > 0"),
];

/// A world in which the page comes into that state.
fn enter(browser: &Browser, state: &str) -> World {
    let world = match state {
        "empty" => return World::start(QUICK),
        // What has lost its clone is an orphan only after minutes.
        "orphaned" => World::fast(LASTING, 200),
        _ => crowded(),
    };
    if state == "orphaned" {
        (0..10).for_each(|number| world.arrive(PRODUCTION, &format!("press-{number}"), 80_000, true));
    }
    browser.open(&world.page());
    let lives =
        "return document.querySelectorAll('[data-clone] time[data-until]').length > 8 && document.querySelector('[data-state=works]') !== null";
    browser.until("clones live, announced", SOON * 2, lives);
    match state {
        "paused" => world.pause("a <b>look</b> at the bill"),
        // Everybody's end comes as a surprise.
        "braked" => world.govern(&format!("{TIGHT}\n{RICH}")),
        "holding" => world.lose_definition(),
        "orphaned" => world.tear_out(PRODUCTION, "press-0"),
        _ => {}
    }
    world
}

/// What axe-core finds wrong: each rule that is broken, where, and why.
pub(crate) fn findings(browser: &Browser) -> Vec<String> {
    let axe = clonewarden_platform::axe().expect("axe-core");
    let source = std::fs::read_to_string(axe).unwrap();
    let loaded = browser.chromium("Runtime.evaluate", &json!({"expression": format!("{source};axe.version")}));
    assert!(loaded["result"]["value"].is_string(), "{loaded}");
    let tags = json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]);
    let found = browser.run_async(&format!("return await axe.run(document, {{runOnly: {{type: 'tag', values: {tags}}}}})"));
    let passed = found["passes"].as_array().unwrap_or_else(|| panic!("{found}"));
    assert!(passed.len() > 20 && passed.iter().any(|rule| rule["id"] == "color-contrast"), "it has looked at nothing: {} rules", passed.len());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = |rule: &Value| {
        let places: Vec<_> =
            rule["nodes"].as_array().unwrap().iter().map(|node| format!("{}: {}", node["target"], text(&node["failureSummary"]))).collect();
        format!("{} ({}): {}", text(&rule["id"]), text(&rule["help"]), places.join("; "))
    };
    found["violations"].as_array().unwrap().iter().map(told).collect()
}

/// How bright the ground of the page is, from 0 to 255.
fn brightness(browser: &Browser) -> f64 {
    let colour = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)");
    colour.as_array().unwrap().iter().filter_map(Value::as_f64).sum::<f64>() / 3.0
}

#[test]
fn a_checker_of_accessibility_finds_nothing_in_any_state() {
    let browser = Browser::start(1_400);
    // All at once, so that who mends sees what belongs together.
    let mut wrong = Vec::new();
    for (name, there) in STATES {
        let world = enter(&browser, name);
        for (scheme, bright) in [("light", true), ("dark", false)] {
            browser.prefer(scheme);
            // Every state in both schemes, one of them on a phone; what has most on it, in all four.
            let widths: &[u32] = if name == "full" {
                &[1_400, 390]
            } else if bright {
                &[1_400]
            } else {
                &[390]
            };
            for &width in widths {
                browser.resize(width);
                browser.open(&world.page());
                browser.until(name, SOON * 2, there);
                let ground = brightness(&browser);
                assert!(if bright { ground > 200.0 } else { ground < 60.0 }, "{name}, {scheme}: the ground has {ground} of 255");
                wrong.extend(findings(&browser).into_iter().map(|what| format!("\n{name}, {scheme}, {width} pixels wide: {what}")));
                let sideways = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
                assert_eq!(sideways[0], sideways[1], "{name}, {scheme}, {width} pixels wide: it scrolls sideways");
            }
        }
        let injected = browser
            .run("return document.querySelector('#banners b, [data-clone] script') !== null && document.body.innerHTML.includes('<b>look</b>')");
        assert_eq!(injected, false, "{name}: what a person wrote has become a part of the page");
        unblemished(&browser, &world.page());
        browser.leave();
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn a_strangers_name_that_leads_here_shows_nothing_and_the_refusal_is_as_good_to_read() {
    let world = World::start(QUICK);
    world.arrive(STAGING, "clone-one", 3_600, false);
    let browser = Browser::start(1_400);
    let lured = world.page().replace("127.0.0.1", STRANGER);
    let mut wrong = Vec::new();
    for (scheme, width) in [("light", 1_400), ("dark", 390), ("light", 320)] {
        browser.prefer(scheme);
        browser.resize(width);
        browser.open(&lured);
        let landmarks = browser.run("return ['header', 'main', 'footer', 'h1', '.skip'].map(one => document.querySelectorAll(one).length)");
        assert_eq!(landmarks, json!([1, 1, 1, 1, 1]));
        wrong.extend(findings(&browser).into_iter().map(|what| format!("\nrefused, {scheme}, {width} pixels wide: {what}")));
        let sideways = browser.run("return document.documentElement.scrollWidth - innerWidth");
        assert_eq!(sideways, 0, "{width} pixels wide: it scrolls sideways");
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
    // What the stranger's page could ask for by itself, with whatever it may say beside.
    let asked = browser.run_async(
        "const asked = []; for (const path of ['/', '/view/v1', '/view/v1/clones', '/metrics']) {
             const answer = await fetch(path, { headers: { 'X-Forwarded-Host': 'localhost' } });
             asked.push([answer.status, (await answer.text()).includes('clone-one')]);
         } return asked",
    );
    assert_eq!(asked, json!([[403, false], [403, false], [403, false], [403, false]]));
}

#[test]
fn nothing_lies_outside_of_the_window_at_any_width() {
    let world = crowded();
    let browser = Browser::start(1_400);
    browser.open(&world.page());
    browser.until("all are there", SOON * 2, "return document.querySelectorAll('[data-clone]').length === 12");
    for width in [320, 390, 600, 768, 1_024, 1_400, 2_200] {
        browser.resize(width);
        let outside = browser.run(
            "document.querySelectorAll('details').forEach(one => one.open = true);
             const beyond = one => { const box = one.getBoundingClientRect(); return box.width > 0 && box.right > innerWidth + 1; };
             return [...document.querySelectorAll('main *, header *, footer *')].filter(beyond).map(one => one.outerHTML.slice(0, 120))",
        );
        assert_eq!(outside, json!([]), "{width} pixels wide");
        let sideways = browser.run("return document.documentElement.scrollWidth - innerWidth");
        assert_eq!(sideways, 0, "{width} pixels wide: it scrolls sideways");
    }
    unblemished(&browser, &world.page());
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let world = World::start(QUICK);
    let browser = Browser::start(1_400);
    browser.open(&world.page());
    browser.run("document.documentElement.removeAttribute('lang'); document.querySelector('h1').style.color = 'rgb(200, 200, 200)'");
    let found = findings(&browser);
    assert!(["html-has-lang", "color-contrast"].iter().all(|rule| found.iter().any(|one| one.starts_with(rule))), "{found:?}");
}
