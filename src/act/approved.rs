//! What a person has approved is carried out by the daemon's own hands: one decision as in [`Executor::execute`], with the same
//! proofs and the same preconditions.
//!
//! Two things differ. Nothing is remembered first: brakes and promises are the daemon's, and who approved is written down by whoever
//! calls. And nothing is tried again: what is not what was judged any more needs another look, and that is a person's.

use super::{
    executor::{AT_ONCE, Executor},
    journal::Ending,
    lane::{BATCH, needs_roll},
    proof::Roll,
};
use crate::plan::{Action, Decision, Plan};
use futures::{StreamExt, stream::FuturesUnordered};
use tracing::warn;

impl Executor {
    /// Carries out every decision of a plan that holds nothing but what was approved, deletes first; how each ended, in their order.
    pub async fn carry_out_approved(&self, plan: &Plan) -> Vec<Ending> {
        let mut endings = vec![Ending::Stopped; plan.decisions.len()];
        let (absent, present): (Vec<_>, Vec<_>) = plan.decisions.iter().enumerate().partition(|(_, decision)| needs_roll(decision));
        let (deletes, others): (Vec<_>, Vec<_>) = present.into_iter().partition(|(_, decision)| decision.action == Action::Delete);
        self.carry_out_each(deletes, None, plan, &mut endings).await;
        // What lives is listed anew for each batch: of the last of a thousand it must not be known from before the first.
        for batch in absent.chunks(BATCH) {
            let roll = Roll::call(self.tools.cluster.as_ref()).await;
            let roll = roll.inspect_err(|error| warn!(%error, "What lives could not be listed anew.")).ok();
            self.carry_out_each(batch.iter().copied(), roll.as_ref(), plan, &mut endings).await;
        }
        self.carry_out_each(others, None, plan, &mut endings).await;
        endings
    }

    async fn carry_out_each<'p>(
        &self,
        decisions: impl IntoIterator<Item = (usize, &'p Decision)>,
        roll: Option<&Roll>,
        plan: &Plan,
        endings: &mut [Ending],
    ) {
        let mut waiting = decisions.into_iter();
        let carry = async |(place, decision): (usize, &'p Decision)| {
            let (_, ending) = self.carry_out(decision, roll, plan).await;
            self.settle(decision, plan, &ending).await;
            (place, ending)
        };
        let mut under_way: FuturesUnordered<_> = waiting.by_ref().take(AT_ONCE).map(&carry).collect();
        while let Some((place, ending)) = under_way.next().await {
            under_way.extend(waiting.next().map(&carry));
            if let Some(slot) = endings.get_mut(place) {
                *slot = ending;
            }
        }
    }
}
