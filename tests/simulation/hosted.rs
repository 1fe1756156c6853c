//! What happens on the shared database host in a story: it goes away and comes back, somebody else lives there, too, and people set
//! their hands on what is ours.

use crate::{rulebook::HOST, sim::Sim};
use clonewarden::{
    model::schema::{LedgerRow, RowState, schema_name},
    sandbox::hosts::Server,
};
use jiff::Timestamp;
use serde_json::Value;

/// The id of another cluster that uses the same host.
const ANOTHER: &str = "another";

/// Whether a clone lives on the host, by what it says.
pub(crate) fn lives_there(clone: &Value) -> bool {
    clone.pointer("/spec/sharedDatabase/host").and_then(Value::as_str) == Some(HOST)
}

/// One thing happens.
pub(crate) fn step(sim: &mut Sim) {
    match sim.hosting.below(100) {
        0..=9 => with(sim, "down, or up", |server| server.down = !server.down),
        10..=17 => with(sim, "read-only, or not", |server| server.read_only = !server.read_only),
        18..=27 => {
            let trouble = sim.hosting.pick(&[0, 10, 60, 200]).copied().unwrap_or_default();
            with(sim, "trouble", |server| server.trouble = trouble);
        }
        28..=57 => {
            let kill = (u32::try_from(sim.hosting.below(12)).unwrap(), sim.hosting.chance(500));
            with(sim, "a process dies on the way", |server| server.kills = Some(kill));
        }
        58..=67 => foreign(sim),
        68..=73 => take(sim),
        74..=76 => forget(sim),
        77..=82 => restore(sim),
        _ => crate::sky::veto(sim),
    }
}

/// Everything works again.
pub(crate) fn heal(sim: &mut Sim) {
    let mut server = sim.server.lock().unwrap();
    (server.down, server.read_only, server.trouble, server.kills) = (false, false, 0, None);
}

fn with(sim: &mut Sim, what: &str, change: impl FnOnce(&mut Server)) {
    change(&mut sim.server.lock().unwrap());
    sim.tell(|| format!("the host: {what}"));
}

/// Something that is called like one of ours, or that a row is about which is not: see [`is_foreign`].
fn foreign(sim: &mut Sim) {
    let uid = format!("{:08x}-2222-4000-8000-{:012x}", sim.hosting.bits() >> 32, sim.hosting.bits() >> 16);
    let Some(name) = schema_name(&uid) else { return };
    let row = LedgerRow {
        cluster: ANOTHER.to_owned(),
        uid,
        namespace: "prod".to_owned(),
        clone: "c1".to_owned(),
        state: Some(RowState::Ready),
        made: Timestamp::UNIX_EPOCH,
    };
    let kind = sim.hosting.below(4);
    with(sim, &format!("foreign {name}, {kind}"), |server| {
        server.schemas.insert(name.clone());
        server.users.insert(name.clone());
        match kind {
            // Another cluster's.
            0 | 1 => drop(server.rows.insert(name, row)),
            // Nobody says whose it is.
            2 => {}
            // A row of ours that is about something else.
            _ => {
                drop(server.rows.insert(name, LedgerRow { cluster: "sim".to_owned(), uid: "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(), ..row }))
            }
        }
    });
}

/// Whether what has this name on the host is not ours, as the host tells: no row, another cluster's, or one about something else.
pub(crate) fn is_foreign(server: &Server, name: &str) -> bool {
    server.rows.get(name).is_none_or(|row| row.cluster != "sim" || crate::schemas::name_of(&row.uid) != name)
}

/// A person drops the schema or the user of a clone, or both.
fn take(sim: &mut Sim) {
    let names: Vec<String> = sim.server.lock().unwrap().rows.keys().cloned().collect();
    let Some(name) = sim.hosting.pick(&names).cloned() else { return };
    let what = sim.hosting.below(3);
    with(sim, &format!("somebody drops {name}, {what}"), |server| {
        if what != 0 {
            server.users.remove(&name);
        }
        if what != 1 {
            server.schemas.remove(&name);
        }
    });
}

/// A person deletes a row, or writes another cluster's id into it.
fn forget(sim: &mut Sim) {
    let names: Vec<String> = sim.server.lock().unwrap().rows.keys().cloned().collect();
    let Some(name) = sim.hosting.pick(&names).cloned() else { return };
    let gone = sim.hosting.chance(500);
    with(sim, &format!("somebody edits the row of {name}, it is gone: {gone}"), |server| {
        if gone {
            server.rows.remove(&name);
        } else if let Some(row) = server.rows.get_mut(&name) {
            row.cluster = ANOTHER.to_owned();
        }
    });
}

/// The host is restored to an earlier state, or that is noted for later.
fn restore(sim: &mut Sim) {
    let now = sim.server.lock().unwrap().clone();
    let past = if sim.hosting.chance(500) { sim.past.clone() } else { None };
    match past {
        None => sim.past = Some(now),
        Some(past) => with(sim, "restored", |server| {
            (server.schemas, server.users, server.rows) = (past.schemas, past.users, past.rows);
        }),
    }
}
