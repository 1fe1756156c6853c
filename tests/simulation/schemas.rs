//! What the oracle says about schemas on the shared host:
//!
//! ```text
//! H1  only what a row of ours is about goes, and nothing else is touched      H3  it is enforced, not paused, not kept, and
//! H2  no schema goes that a living clone needs                                    soaked unless its clone was seen to go
//! H4  in the end every living clone has its own, and nothing of the dead is left
//! ```

use crate::{
    custody::CLUSTER,
    estate::{Mark, text},
    hosted::lives_there,
    oracle::{Broken, Oracle, SKEW, WATCH_LAG, seconds},
    rules::{self, Rule},
};
use clonewarden::{
    model::{Kind, schema::RowState},
    sandbox::{
        hosts::{Dropped, Server},
        world::World,
    },
};

/// How long the making of a schema may take in quiet time: a look that comes late, and a clone that waits for its Secret.
const MADE_WITHIN: i64 = 120;
/// How long a drop may take from the last look at what speaks against it.
const PROVED: i64 = 30;
/// As for what is left in AWS.
const SLACK: i64 = 240;

/// What the schema of a clone is called, as the design says it.
pub(crate) fn name_of(uid: &str) -> String {
    format!("wp_{}", uid.replace('-', "").get(..28).unwrap_or_default())
}

impl Oracle {
    /// Judges what was dropped since.
    pub(crate) fn catch_up_on_host(&mut self, server: &Server) -> Result<(), Broken> {
        for dropped in server.drops.iter().skip(self.dropped) {
            let broken = |(promise, what)| Broken { promise, what: format!("{} at {}: {what}: {dropped:?}", dropped.by, dropped.at) };
            self.judge_dropped(dropped).map_err(broken)?;
        }
        self.dropped = server.drops.len();
        Ok(())
    }

    fn judge_dropped(&self, dropped: &Dropped) -> Result<(), (&'static str, String)> {
        let wrong = |promise, what: &str| Err((promise, what.to_owned()));
        if dropped.needed {
            return wrong("H2", "a living clone needs it");
        }
        let Some(row) = dropped.row.as_ref().filter(|row| row.cluster == CLUSTER && name_of(&row.uid) == dropped.name) else {
            return wrong("H1", "no row says that it is ours");
        };
        let at = seconds(dropped.at);
        if self.paused_throughout(at) {
            return wrong("H3", "everything is paused");
        }
        let ruled = self.candidates(&dropped.by, &row.namespace, at);
        if !ruled.iter().any(|rule| rule.enforce) {
            return wrong("H3", "no policy enforces anything there");
        }
        let there = |mark: &Mark| mark.from <= at - PROVED && mark.until > at;
        let kept = |mark: &Mark| there(mark) && mark.keep.within(at - PROVED, at).all(|keep| *keep);
        if self.marked(&dropped.name).any(kept) {
            return wrong("H3", "somebody keeps it");
        }
        let soak = ruled.iter().filter(|rule| rule.enforce).map(|rule| rule.soak).min().unwrap_or_default();
        let by_mark = self.marked(&dropped.name).filter_map(|mark| Some((mark.from, mark.deleting.filter(|since| *since <= at)?))).last();
        // A process that began later has not seen the clone go, even if its first list was an old one.
        let died = self.estate.died(&row.uid).unwrap_or(i64::MAX);
        match by_mark {
            Some((from, deleting)) if deleting < from + soak - SKEW => wrong("H3", "it has not soaked"),
            None if self.runs_since(&dropped.by) > died.saturating_add(WATCH_LAG) => wrong("H3", "it has no Orphan, and nobody saw its clone go"),
            _ => Ok(()),
        }
    }

    fn marked(&self, name: &str) -> impl Iterator<Item = &Mark> {
        let key = format!("mysql/h/{name}");
        self.estate.marks.iter().filter(move |mark| mark.key == key)
    }

    /// At the end of a quiet time that began at `since`.
    pub(crate) fn host_at_rest(&self, world: &World, server: &Server, rules: &[Rule], since: i64) -> Result<(), Broken> {
        let now = seconds(world.now());
        let broken = |what: String| Err(Broken { promise: "H4", what });
        let enforced = |namespace: &str| rules::governing(rules, namespace, self.env_of(namespace).as_deref()).filter(|rule| rule.enforce);
        // What the holder never heard is not held against it.
        let holder = world.lease("clonewarden").map(|lease| lease.holder).unwrap_or_default();
        if self.is_deaf(&holder, since) {
            return Ok(());
        }
        for clone in world.objects(Kind::Clone).filter(|clone| lives_there(clone) && clone["metadata"]["deletionTimestamp"].is_null()) {
            let (namespace, uid) = (text(clone, "/metadata/namespace"), text(clone, "/metadata/uid"));
            let Some(created) = rules::created(clone).filter(|_| enforced(namespace).is_some()) else { continue };
            let name = name_of(uid);
            let row = server.rows.get(&name);
            // What somebody made, or whose row somebody lost, is held.
            let foreign = row.map_or(server.schemas.contains(&name) || server.users.contains(&name), |row| row.cluster != CLUSTER);
            if foreign || created.max(since) + MADE_WITHIN > now {
                continue;
            }
            let ready = row.is_some_and(|row| row.uid == uid && row.state == Some(RowState::Ready));
            if !ready || !server.schemas.contains(&name) || !server.users.contains(&name) {
                return broken(format!("{namespace}/{} has no schema {name}: {row:?}, {clone}", text(clone, "/metadata/name")));
            }
        }
        // A person has to look first.
        if self.estate.shared.now().copied().unwrap_or_default() {
            return Ok(());
        }
        for (name, row) in server.rows.iter().filter(|(name, row)| row.cluster == CLUSTER && name_of(&row.uid) == **name) {
            let (Some(died), Some(rule)) = (self.estate.died(&row.uid), enforced(&row.namespace)) else { continue };
            let path = format!("{}/{}", row.namespace, row.clone);
            let namesakes = self.estate.clones.values().filter(|stay| stay.path == path).map(|stay| stay.until).max().unwrap_or(i64::MIN);
            let settled = died.max(since).max(namesakes).saturating_add(2 * (rule.soak + WATCH_LAG) + SLACK);
            let kept = self.marked(name).any(|mark| mark.until == i64::MAX && mark.keep.now().copied().unwrap_or_default());
            if settled <= now && !kept && !self.estate.accepted.contains(&format!("mysql/h/{name}")) {
                let mark = self.marked(name).last();
                return broken(format!("{name} is left {} s after it should be gone: {row:?}, {mark:?}", now - settled));
            }
        }
        Ok(())
    }
}
