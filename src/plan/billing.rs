//! Whether it is known what AWS bills. Nothing is decided by it, so only a lack that lasts is said.

use super::{Draft, Reason, Target, money::Finding};
use crate::model::{Snapshot, Source, later};
use jiff::SignedDuration;

/// How long a bill may fail to come: AWS brings it up to date once a day.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// Looks whether the bill, if it is asked for, has come within a day.
pub(super) fn check(snapshot: &Snapshot, draft: &mut Draft) {
    let (Some(_), Some(billing)) = (snapshot.evidence.get(&Source::Billing), &snapshot.state.billing) else { return };
    let Some(since) = billing.lacking_since.filter(|since| later(*since, PATIENCE) <= draft.now) else { return };
    let why = billing.reason.as_deref().unwrap_or("no answer");
    draft.alert(None, Target::Source(Source::Billing), Reason::Money(Finding::BillingUnread(since, why.into())));
}

#[cfg(test)]
mod tests {
    use crate::{
        model::{Snapshot, State, bill::Billing},
        observe::sweeps::Sweeps,
        plan::plan,
        policy::load_files,
    };
    use jiff::Timestamp;
    use std::{sync::Arc, time::Duration};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn said(asks: bool, billing: Billing, now: &str) -> Vec<String> {
        let text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let policies = load_files(vec![("p.yaml".to_owned(), text.into())]).unwrap();
        let sweeps = Sweeps::default();
        if asks {
            sweeps.expect_bills(Duration::from_secs(21_600), at("2026-11-01T00:00:00Z"));
        }
        let mut snapshot = Snapshot { state: State { billing: Some(billing), ..State::default() }, ..Snapshot::default() };
        sweeps.add_to(&mut snapshot);
        let plan = plan(&snapshot, &Arc::new(policies), at(now));
        assert_eq!(plan.state.billing, snapshot.state.billing, "a plan changes nothing of it");
        let about = plan.decisions.iter().filter(|decision| decision.target.key().starts_with("billing"));
        about.map(|decision| format!("{} {}", decision.action.word(), decision.reason.message(plan.now))).collect()
    }

    #[test]
    fn a_bill_that_cannot_be_read_is_said_after_a_day() {
        let mut lacking = Billing::default();
        lacking.failed(at("2026-11-27T00:00:00Z"), "Cost Explorer: forbidden: AccessDeniedException: no");
        assert_eq!(said(true, lacking.clone(), "2026-11-27T23:59:59Z"), Vec::<String>::new());
        let expected = "alert what AWS bills could not be read since 2026-11-27T00:00:00Z: Cost Explorer: forbidden: AccessDeniedException: no";
        assert_eq!(said(true, lacking.clone(), "2026-11-28T00:00:00Z"), [expected]);
        assert_eq!(said(false, lacking, "2026-12-28T00:00:00Z"), Vec::<String>::new(), "nobody asks any more");
        assert_eq!(said(true, Billing::default(), "2026-12-28T00:00:00Z"), Vec::<String>::new());
    }
}
