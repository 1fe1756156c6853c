//! The page, put together from a view. What it says is in `templates`, how it looks in `assets`.

use super::{
    assets, text,
    view::{Filter, View, clones::Clone},
};
use askama::Template;
use jiff::Timestamp;
use rust_decimal::{Decimal, prelude::FromPrimitive};

/// How often the script asks whether there is something new, in seconds. An answer that says no costs next to nothing.
const EVERY: u32 = 2;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    pub(super) view: &'a View,
    pub(super) filter: &'a Filter,
    /// The one namespace that the visitor may see.
    pub(super) only: Option<&'a str>,
    /// The daemon's time, by which the countdowns go.
    pub(super) now: Timestamp,
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "note.html")]
pub(super) struct Note<'a> {
    /// The status of the answer: the script looks for another one.
    pub(super) status: u16,
    pub(super) title: &'a str,
    pub(super) detail: &'a str,
    /// Whether it is worth asking again.
    pub(super) again: bool,
    /// Whether it says how to come in.
    pub(super) ways: bool,
}

impl Page<'_> {
    /// How much of a clone's life is over, in percent.
    fn lived(&self, clone: &Clone) -> Option<String> {
        let end = clone.ends_at?;
        let whole = end.duration_since(clone.created_at).as_secs_f64();
        let lived = self.now.duration_since(clone.created_at).as_secs_f64();
        let percent = (whole > 0.0).then_some(lived / whole * 100.0)?;
        Some(text::within(&Decimal::from_f64(percent)?))
    }

    /// The namespaces that can be chosen.
    fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.view.namespaces.items.iter().map(|namespace| namespace.name.as_str())
    }

    fn is_chosen(&self, namespace: &str) -> bool {
        self.filter.namespace.as_deref() == Some(namespace)
    }

    fn is_filtered(&self) -> bool {
        self.filter.namespace.is_some() || self.filter.owner.is_some() || self.filter.text.is_some() || self.filter.after.is_some()
    }

    /// What lacks something.
    fn lacking(&self) -> usize {
        self.view.head.evidence.iter().filter(|known| !known.suffices).count()
    }

    /// When the next clone or orphan goes, if nothing holds it back.
    fn next_end(&self) -> Option<&Timestamp> {
        self.view.upcoming.items.iter().find(|coming| coming.action == "delete" && coming.blocked_by.is_none()).map(|coming| &coming.at)
    }

    /// How many things are held: nothing ends them until more is known.
    fn held(&self) -> usize {
        self.view.holds.iter().filter(|group| group.action == "hold").map(|group| group.count).fold(0, usize::saturating_add)
    }

    fn version(&self) -> &'static str {
        assets::version()
    }

    fn every(&self) -> u32 {
        EVERY
    }
}

impl Note<'_> {
    fn version(&self) -> &'static str {
        assets::version()
    }
}
