//! `idle` of a policy: when a clone ends that nothing uses.

use super::Lint;
use crate::policy::{
    IdleRule, Ttl,
    code::Code,
    format::{self, Block},
};

/// Reads it; `None` if it is not said, or wrong. `ttl` is what holds beside it.
pub(super) fn idle(lint: &mut Lint<'_>, block: Block<format::Idle>, ttl: &Ttl) -> Option<IdleRule> {
    let block = block?;
    let here = lint.block(&block);
    let after = lint.need("idle.after", block.value.after, &here)?;
    if after.value < ttl.grace {
        let message = format!("`idle.after`, `{}`, is shorter than `ttl.grace`, `{}`", after.value, ttl.grace);
        let problem = lint.problem(Code::Contradiction, after.at, message);
        lint.report(problem.help("nobody could come back in time: raise `after`, or lower `grace`"));
    }
    if after.value >= ttl.maximum {
        let message = format!("`idle.after`, `{}`, is not shorter than `ttl.maximum`, `{}`", after.value, ttl.maximum);
        let problem = lint.problem(Code::Contradiction, after.at, message);
        lint.report(problem.help("no clone lives long enough to end by it; lower `after`, or take `idle` out"));
    }
    Some(IdleRule { after: after.value })
}
