//! Style, scripts and sign of the page. They hold nothing secret, and whoever asks gets them.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file that is compiled in.
pub(super) struct Asset {
    pub(super) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(super) const STYLE: Asset = Asset { path: "/view/page.css", kind: "text/css; charset=utf-8", text: include_str!("assets/page.css") };
pub(super) const SCRIPT: Asset = Asset { path: "/view/page.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/page.js") };
pub(super) const AGAIN: Asset = Asset { path: "/view/note.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/note.js") };
pub(super) const SIGN: Asset = Asset { path: "/view/sign.svg", kind: "image/svg+xml", text: include_str!("assets/sign.svg") };

/// Stands behind the path of each in a page: another release has other files, and no browser mixes them up.
pub(super) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let all = [&STYLE, &SCRIPT, &AGAIN, &SIGN].iter().fold(Sha256::new(), |hash, asset| hash.chain_update(asset.text));
        all.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    });
    &VERSION
}

impl Asset {
    pub(super) fn answer(&self) -> Response {
        // The path says which version it is.
        ([(header::CONTENT_TYPE, self.kind), (header::CACHE_CONTROL, "public, max-age=86400, immutable")], self.text).into_response()
    }
}
