//! What is said of a story, to somebody who replays one seed.

use clonewarden::{
    act::executor::Round,
    daemon::warden::Watcher,
    model::Snapshot,
    plan::{Decision, Plan},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Says what a daemon has decided, whenever that has changed.
pub(crate) struct Aloud {
    pub(crate) daemon: String,
    pub(crate) last: Mutex<String>,
}

impl Watcher for Aloud {
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, round: Option<&Round>, _: Duration) {
        let verdict = |decision: &Decision| {
            format!("\n        {} {} {}: {}", decision.action.word(), decision.target.kind(), decision.target.display(), decision.reason.code())
        };
        let mut verdicts: String = plan.decisions.iter().map(verdict).collect();
        let lacks: Vec<String> =
            snapshot.evidence.iter().filter_map(|(source, evidence)| Some(format!("{source}: {}", evidence.lack(plan.now)?))).collect();
        verdicts.push_str(&format!("\n        lacks {lacks:?}, acts {}", round.is_some()));
        if std::mem::replace(&mut *self.last.lock().unwrap(), verdicts.clone()) != verdicts {
            eprintln!("    {} {} decides, next at {:?}{verdicts}", plan.now, self.daemon, plan.next_wakeup.map(|at| at.to_string()));
        }
    }
}

/// What is worth telling of an object that a daemon wrote.
pub(crate) fn gist(object: Option<&serde_json::Value>) -> Option<String> {
    let object = object?;
    if let Some(state) = object.get("state.json").and_then(serde_json::Value::as_str) {
        return Some(state.replace(['\n', ' '], ""));
    }
    let orphan = object.get("kind").is_some_and(|kind| kind == "Orphan");
    let status = &object["status"];
    Some(if orphan {
        format!("{} {} {} {} last {}", object["spec"]["id"], status["phase"], status["reason"]["code"], status["soak"], status["lastSeen"])
    } else {
        object["metadata"]["annotations"].to_string()
    })
}
