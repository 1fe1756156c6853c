//! Takes the pictures of the README anew: `cargo test --locked --test browser -- --ignored picture`.

use crate::{demo::Demo, driver::Browser, live::SOON};
use std::{fs, path::Path};

#[test]
#[ignore = "writes docs/images; look at what it has taken before it is committed"]
fn picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    fs::create_dir_all(&folder).unwrap();
    let demo = Demo::start();
    let (wide, narrow) = (Browser::start(1_240), Browser::start(390));
    narrow.prefer("dark");
    wide.prefer("light");
    for browser in [&wide, &narrow] {
        browser.open(&demo.page);
    }
    // Somewhere between the scenes about what was torn out and about what is held.
    wide.until("orphans", SOON * 2, "return document.querySelectorAll('#orphans [data-orphan]').length > 1");
    for (browser, name, width, height) in [(&wide, "page.png", 1_240, 760), (&narrow, "page-narrow-dark.png", 390, 760)] {
        let png = browser.picture(width, height);
        assert!(png.len() < 200 * 1_024, "{name} has {} bytes", png.len());
        fs::write(folder.join(name), png).unwrap();
    }
}
